"""Commands of other packages: entry points of the group `headrace.commands`, each a function or a Typer app.

They are imported when they run, so that `headrace --help` does not wait for them.
"""

from importlib.metadata import EntryPoint, entry_points

import typer

from headrace.cli.errors import ENVIRONMENT
from headrace.extras import MissingExtra

GROUP = "headrace.commands"


def register(app: typer.Typer) -> None:
    """Add the commands of the installed packages to `app`, in the order of names."""
    for entry_point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        _add(app, entry_point)


def _add(app: typer.Typer, entry_point: EntryPoint) -> None:
    @app.command(
        entry_point.name,
        help=f"From {entry_point.module}; `headrace {entry_point.name} --help` says more.",
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def command(context: typer.Context) -> None:
        try:
            loaded = load(entry_point)
        except ModuleNotFoundError as error:
            typer.echo(f"headrace {entry_point.name} needs more: {_missing(entry_point, error)}", err=True)
            raise typer.Exit(ENVIRONMENT) from None
        loaded(context.args, prog_name=f"headrace {entry_point.name}")


def load(entry_point: EntryPoint) -> typer.Typer:
    """The app of a command, imported; ModuleNotFoundError when something that it needs is not installed."""
    loaded = entry_point.load()
    if isinstance(loaded, typer.Typer):
        return loaded
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(loaded)
    return app


def _missing(entry_point: EntryPoint, error: ModuleNotFoundError) -> str:
    """What is not installed; the extras that an entry point names would bring it."""
    if isinstance(error, MissingExtra) or not entry_point.extras:
        return str(error)
    return str(MissingExtra(entry_point.extras[0], error))

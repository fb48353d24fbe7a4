"""The `headrace` command. What a subcommand needs is imported when it runs, so that help comes at once."""

from typing import Annotated

import typer

from headrace.cli import (
    acls,
    check,
    connect,
    dead_letters,
    dev,
    editions,
    gateway,
    new,
    plugins,
    positions,
    projections,
    proto,
    roots,
    sinks,
    topics,
    topology,
    trace,
    worker,
)
from headrace.cli.errors import reported

EXIT_CODES = """\b
Exit codes:
  0  done
  1  the answer is no: rejected, failed, nothing there, topics or hands differ
  2  wrong usage or input
  3  Kafka, its topics or the settings cannot be used
  4  no answer in time: the outcome is unknown
"""

app = typer.Typer(
    name="headrace",
    help="Event sourcing and CQRS on Kafka alone.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would show local variables, and secrets among them
    rich_markup_mode=None,  # boxes around the help would double the time until it is there
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def headrace(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Event sourcing and CQRS on Kafka alone."""


app.command()(new.new)
app.command()(dev.dev)
app.command()(worker.worker)
app.command()(gateway.gateway)
app.command()(roots.send)
app.command()(roots.state)
app.command()(roots.events)
app.command()(check.check)
app.add_typer(topics.app, name="topics")
app.command("topology")(topology.topology)
app.command()(acls.acls)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(positions.app, name="positions")
app.add_typer(editions.app, name="editions")
app.add_typer(projections.app, name="projections")
app.add_typer(sinks.app, name="sinks")
app.add_typer(connect.app, name="connect")
app.command()(trace.trace)
app.add_typer(proto.app, name="proto")


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def kafka(context: typer.Context) -> None:
    """Apache Kafka of one's own: start, stop, status."""
    with reported(False):
        from headrace.cli import kafka as group  # with all that starts a Kafka, which only this command needs

    group.app(context.args, prog_name="headrace kafka")


plugins.register(app)


if __name__ == "__main__":
    app(prog_name="headrace")

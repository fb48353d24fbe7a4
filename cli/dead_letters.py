"""`headrace dead-letters`: what could not be handled, and settling it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import NO, USAGE, Failure
from headrace.cli.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from headrace.streams.admin.dead_letters import ListedDeadLetter

app = typer.Typer(help="What could not be handled: list, look, send again, give up.", no_args_is_help=True)

Component = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        metavar="NAME",
        help="Only of this component, or of this sink, such as player-cards-v1.search; may be given several times.",
    ),
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Only these dead letters.")]
Root = Annotated[str, typer.Option(metavar="ROOT", help="Only those about this root.")]
ErrorClass = Annotated[str, typer.Option("--class", metavar="CLASS", help="Only those with this class of error.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="Only those that failed at or after this time (RFC 3339).")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Only those that failed at or before this time (RFC 3339).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def _time(option: str, text: str) -> "datetime | None":
    from headrace.streams.admin.dead_letters import moment

    try:
        return moment(text) if text else None
    except ValueError as error:
        raise Failure(USAGE, f"{option}: {error}") from None


def _find(deployment: Deployment, components: list[str] | None, **wanted: Any) -> "list[ListedDeadLetter]":
    from headrace.streams.admin import dead_letters

    topology, settings = deployment.topology, deployment.settings()
    since, until = _time("--since", wanted.pop("since", "")), _time("--until", wanted.pop("until", ""))
    chosen = dead_letters.Filter(since=since, until=until, **wanted)
    return dead_letters.find(settings, topology, dead_letters.names(settings, topology, components or ()), chosen)


@app.command("list")
@deployed
def list_(
    deployment: Deployment,
    component: Component = None,
    root: Root = "",
    error_class: ErrorClass = "",
    since: Since = "",
    until: Until = "",
    all_: Annotated[bool, typer.Option("--all", help="Those that are settled, too.")] = False,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first; exit code 1 when there are none."""
    found = _find(deployment, component, root=root, error_class=error_class, since=since, until=until, settled=all_)
    for dead_letter in found:
        data = dead_letter.data()
        if as_json:
            typer.echo(json.dumps(data))
        else:
            settled = f"  [{dead_letter.settled}]" if dead_letter.settled else ""
            what = f"{data['type']}: {data['error_class']}: {data['error']}  (attempt {data['attempts']})"
            where = f"{data['last_failed']}  {dead_letter.id}  {data['component']}  {dead_letter.root}{settled}"
            typer.echo(f"{printable(where)}\n    {printable(what)}")
    if not found:
        raise Failure(NO, "no dead letters")


@app.command()
@deployed
def show(
    deployment: Deployment,
    dead_letter_id: Annotated[str, typer.Argument(metavar="ID")],
    component: Component = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter whole: its input with headers, and why it failed."""
    found = _find(deployment, component, ids=frozenset([dead_letter_id]), settled=True)
    if not found:
        raise Failure(NO, f"there is no dead letter {dead_letter_id}")
    data = found[0].whole()
    if as_json:
        typer.echo(json.dumps(data))
        return
    for name, value in data.items():
        typer.echo(f"{name}: {printable(str(value), lines=name == 'detail')}")


@app.command()
@deployed
def replay(
    deployment: Deployment,
    ids: Ids = None,
    component: Component = None,
    root: Root = "",
    error_class: ErrorClass = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send the inputs of dead letters again, with their ids: doing it twice does it once.

    For a sink, the document is written to its search server as it is now; other systems are filled by `headrace connect
    reset`.
    """
    wanted = {"root": root, "error_class": error_class, "since": since, "until": until}
    _settle(deployment, component, ids, wanted, discard=False, dry_run=dry_run, as_json=as_json)


@app.command()
@deployed
def discard(
    deployment: Deployment,
    ids: Ids = None,
    component: Component = None,
    root: Root = "",
    error_class: ErrorClass = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give dead letters up; what waits behind them goes on."""
    wanted = {"root": root, "error_class": error_class, "since": since, "until": until}
    _settle(deployment, component, ids, wanted, discard=True, dry_run=dry_run, as_json=as_json)


def _settle(
    deployment: Deployment,
    components: list[str] | None,
    ids: list[str] | None,
    wanted: dict[str, str],
    *,
    discard: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from headrace.streams.admin import dead_letters

    if not ids and not components and not any(wanted.values()):
        raise Failure(USAGE, "say which: ids, --component, --root, --class, --since or --until")
    found = _find(deployment, components, ids=frozenset(ids or ()), **wanted)
    if not found:
        raise Failure(NO, "no open dead letter is meant")
    outcome = dead_letters.outcome(discard=discard, dry_run=dry_run)
    for dead_letter in found if dry_run else _settled(deployment, found, discard):
        typer.echo(
            json.dumps({"id": dead_letter.id, "done": outcome})
            if as_json
            else f"{printable(dead_letter.id)}  {outcome}"
        )


def _settled(deployment: Deployment, found: "list[ListedDeadLetter]", discard: bool) -> "Iterator[ListedDeadLetter]":
    from headrace.streams.admin import dead_letters

    settings, topology = deployment.settings(), deployment.topology
    of_sinks = [one for one in found if "." in one.component]
    if discard or not of_sinks:
        yield from dead_letters.settle(settings, topology, found, discard=discard)
        return
    from headrace.cli.connect import failures, look
    from headrace.connectors.resend import Resend

    with failures():
        resend = Resend(settings, look(deployment, "").declared, of_sinks)
        yield from dead_letters.settle(settings, topology, found, discard=False, resend=resend)

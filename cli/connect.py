"""`headrace connect`: the sinks that Kafka Connect runs, compared with what is declared, deployed, and operated."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import connect_worker
from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import ENVIRONMENT, NO, USAGE, Failure
from headrace.cli.escape import printable
from headrace.extras import MissingExtra

if TYPE_CHECKING:
    from headrace.connectors.connect.client import ConnectClient
    from headrace.connectors.connect.deployment import Deployed
    from headrace.connectors.connect.overview import SinkStatus
    from headrace.connectors.connect.rendering import Rendered
    from headrace.connectors.sinks import Sinks

DIFFERENT = 2
"""Exit code of `diff`, as of other tools that compare what is with what is to be."""

app = typer.Typer(help="Sinks in Kafka Connect: compare, deploy, operate.", no_args_is_help=True, rich_markup_mode=None)
app.command()(connect_worker.start)
app.command()(connect_worker.stop)
app.command()(connect_worker.plugin)

Address = Annotated[
    str,
    typer.Option(
        "--connect",
        metavar="URL",
        help="A worker of Kafka Connect; by default HEADRACE_CONNECT_URL, else that of `headrace connect start`.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="CONNECTOR", help="In full, or without prefix and edition.")]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[CONNECTOR]…", help="Only these; in full, or without prefix and edition.")
]


@app.command()
@deployed
def render(deployment: Deployment, as_json: Json = False) -> None:
    """Print what the declared sinks are: configurations, index bodies, SQL. Needs no Connect."""
    settings = deployment.settings(own_kafka=False)
    with failures():
        found = _sinks(deployment).render(settings.names, settings.edition)
    if as_json:
        typer.echo(json.dumps([_data(one) for one in found]))
        return
    for one in found:
        typer.echo(f"# {one.name}\n{json.dumps(one.config, indent=2)}")
        if one.index is not None:
            typer.echo(f"# index {one.index.name}\n{json.dumps(one.index.body, indent=2)}")
        for statement in one.sql:
            typer.echo(f"{statement};")
        for note in one.notes:
            typer.echo(f"# {note}")


@app.command()
@deployed
def diff(deployment: Deployment, connect: Address = "", as_json: Json = False) -> None:
    """Show how Connect differs from what is declared, field by field.

    Changes nothing. Exit code 2 if something differs.
    """
    with failures():
        found = look(deployment, connect).differences()
    if as_json:
        fields = [vars(one) for one in found]
        typer.echo(json.dumps({"same": not found, "differences": fields}))
    else:
        for one in found:
            typer.echo(printable(str(one)))
        if not found:
            typer.echo("Connect is as declared")
    if found:
        raise typer.Exit(DIFFERENT)


@app.command()
@deployed
def deploy(deployment: Deployment, connect: Address = "", as_json: Json = False) -> None:
    """Make and change indexes, topics and connectors, so that they are as declared.

    Does nothing where they are. Connectors that are not declared stay.
    """
    from headrace.connectors.connect.progress import begin, make_topics

    with failures():
        there = look(deployment, connect)
        settings = deployment.settings()
        done = there.deploy(lambda names: make_topics(settings, names), lambda one: begin(settings, one))
    if as_json:
        typer.echo(json.dumps({"done": done}))
    else:
        for line in done or [f"nothing to do: {len(there.declared)} sink(s) are as declared"]:
            typer.echo(line)


@app.command()
@deployed
def status(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Show state, tasks, lag and dead letters of the sinks, and which of them must be reset.

    A sink that stood still for longer than its topic keeps deletions may have missed some: it must be reset. Exit code
    1 if one is missing, if it or a task of it does not run, or if it must be reset.
    """
    from headrace.connectors.connect.overview import overview

    with failures():
        there = look(deployment, connect)
        rows = overview(there, deployment.settings(), there.named(connectors or ()))
    for row in rows:
        typer.echo(json.dumps(asdict(row)) if as_json else "\n".join(_lines(row)))
    if not all(row.runs and not row.needs_reset for row in rows):
        raise typer.Exit(NO)


def _lines(row: "SinkStatus") -> "Iterator[str]":
    lag = "no topic" if row.lag is None else row.lag
    tasks = ", ".join(task.state for task in row.tasks) or "none"
    yield f"{row.name}  {row.state}  tasks: {tasks}  lag: {lag}  dead letters: {row.dead_letters}"
    for task in row.tasks:
        if task.error:
            yield printable(f"    task {task.id}: {task.error}")
    if row.needs_reset:
        yield f"    deletions may be missing: {row.needs_reset}. {row.cure}"


@app.command()
@deployed
def pause(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Let sinks rest. They keep their place."""
    _each(deployment, connect, connectors, "paused", lambda there, name: there.client.pause(name), as_json)


@app.command()
@deployed
def resume(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Let sinks work again that rest, or have failed.

    Says which of them must be reset, because they stood still for longer than their topic keeps deletions.
    """
    from headrace.connectors.connect.progress import progress

    def act(there: "Deployed", name: str) -> None:
        one = next((one for one in there.declared if one.name == name), None)
        # before it works again: then it is no longer to be seen how long it stood still
        if one is not None and (missed := progress(deployment.settings(), one).missed):
            typer.echo(f"{name}: deletions may be missing: {missed}. {one.cure}", err=True)
        there.client.resume(name)
        there.client.restart_failed(name)

    _each(deployment, connect, connectors, "resumed", act, as_json)


@app.command()
@deployed
def delete(deployment: Deployment, connector: Name, connect: Address = "", as_json: Json = False) -> None:
    """Remove a connector. Its index or table, its place in the log and its dead letters stay."""
    _each(deployment, connect, [connector], "deleted", lambda there, name: there.client.delete(name), as_json)


@app.command()
@deployed
def reset(
    deployment: Deployment,
    connector: Name,
    emptied: Annotated[
        bool, typer.Option("--emptied", help="The table is empty now: for a database, where you do that.")
    ] = False,
    connect: Address = "",
    as_json: Json = False,
) -> None:
    """Fill what a sink has from the oldest record on: its index is dropped, and made again.

    The table of a database you empty yourself, while the sink is paused; without --emptied, the command says how.
    Its open dead letters count as replayed, because their documents are sent again too.
    """
    from headrace.connectors.connect.progress import begin
    from headrace.streams.admin import dead_letters

    settings = deployment.settings()

    def stopped(one: "Rendered") -> list[str]:
        sink = str(one.source.sink)
        known = dead_letters.names(settings, deployment.topology)
        count = dead_letters.settle_sink(settings, sink) if sink in known else 0
        begin(settings, one)
        return [f"{count} dead letter(s) are settled"] if count else []

    with failures():
        there = look(deployment, connect)
        (name,) = there.named([connector])
        done = there.reset(name, stopped, emptied=emptied)
    typer.echo(json.dumps({"name": name, "done": done}) if as_json else "\n".join(done))


def _each(
    deployment: Deployment,
    connect: str,
    connectors: list[str] | None,
    outcome: str,
    act: Callable[["Deployed", str], None],
    as_json: bool,
) -> None:
    with failures():
        there = look(deployment, connect)
        for name in there.named(connectors or ()):
            act(there, name)
            typer.echo(json.dumps({"name": name, "done": outcome}) if as_json else f"{name}  {outcome}")


def look(deployment: Deployment, connect: str) -> "Deployed":
    from headrace.cli import logs as log
    from headrace.connectors.connect.deployment import Deployed

    log.be_quiet()
    settings = deployment.settings()
    return Deployed.look(client(connect), _sinks(deployment), settings.names, settings.edition)


def client(connect: str) -> "ConnectClient":
    from headrace.connectors.connect.client import ConnectClient

    url = connect or os.environ.get("HEADRACE_CONNECT_URL", "") or _own_worker()
    if not url:
        raise Failure(
            ENVIRONMENT,
            "no Kafka Connect named; set HEADRACE_CONNECT_URL or --connect to http://HOST:PORT of a worker, or run "
            "`headrace connect start`",
        )
    try:
        return ConnectClient(url)
    except ValueError as error:
        raise Failure(USAGE if connect else ENVIRONMENT, str(error)) from None


def _own_worker() -> str:
    try:
        from headrace.embedded.detached import Detached
    except MissingExtra:
        return ""
    state = Detached(connect_worker.home()).state()
    return "" if state is None else f"http://127.0.0.1:{state.ports[0]}"


def _sinks(deployment: Deployment) -> "Sinks":
    from headrace.cli.declared_sinks import declared

    if (found := declared(deployment)) is None:
        module = deployment.reference.partition(":")[0]
        raise Failure(USAGE, f"{module} declares no sinks; write sinks = Sinks(…) beside its topology")
    return found


@contextmanager
def failures() -> Iterator[None]:
    from headrace.connectors.connect.client import ConnectFailed
    from headrace.connectors.connect.deployment import NotEmptied, NotOurs
    from headrace.connectors.search.index import SearchFailed
    from headrace.connectors.sinks import SinkMistake

    try:
        yield
    except (ConnectFailed, SearchFailed) as error:
        raise Failure(ENVIRONMENT, str(error)) from None
    except (SinkMistake, NotOurs, NotEmptied) as error:
        raise Failure(USAGE, str(error)) from None


def _data(one: "Rendered") -> dict[str, Any]:
    index = None if one.index is None else {"name": one.index.name, "body": one.index.body}
    return {"name": one.name, "config": one.config, "index": index, "sql": one.sql, "notes": one.notes}

"""`headrace connect`: the sinks that Kafka Connect runs, compared with what is declared, deployed, and operated."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    from headrace.connectors.connect.progress import make_topics

    with failures():
        there = look(deployment, connect)
        settings = deployment.settings()
        done = there.deploy(lambda names: make_topics(settings, names))
    if as_json:
        typer.echo(json.dumps({"done": done}))
    else:
        for line in done or [f"nothing to do: {len(there.declared)} sink(s) are as declared"]:
            typer.echo(line)


@app.command()
@deployed
def status(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Show state, tasks, lag and dead letters of the sinks.

    Exit code 1 if one is missing, or it or a task of it does not run.
    """
    from headrace.connectors.connect.progress import progress

    with failures():
        there = look(deployment, connect)
        wanted, settings, statuses = there.named(connectors or ()), deployment.settings(), there.client.statuses()
        rows = []
        for one in (one for one in there.declared if one.name in wanted):
            found = progress(settings, one)
            rows.append(_row(one.name, statuses.get(one.name), found.lag, found.dead_letters))
        rows += [_row(name, statuses.get(name), None, None) for name in wanted if name not in {r["name"] for r in rows}]
    for row in rows:
        if as_json:
            typer.echo(json.dumps(row))
            continue
        lag = "no topic" if row["lag"] is None else row["lag"]
        tasks = ", ".join(task["state"] for task in row["tasks"]) or "none"
        typer.echo(f"{row['name']}  {row['state']}  tasks: {tasks}  lag: {lag}  dead letters: {row['dead_letters']}")
        for trace in (task["error"] for task in row["tasks"] if task["error"]):
            typer.echo(printable(f"    {trace}"))
    if not all(row["runs"] for row in rows):
        raise typer.Exit(NO)


@app.command()
@deployed
def pause(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Let sinks rest. They keep their place."""
    _each(deployment, connect, connectors, "paused", lambda there, name: there.client.pause(name), as_json)


@app.command()
@deployed
def resume(deployment: Deployment, connectors: Names = None, connect: Address = "", as_json: Json = False) -> None:
    """Let sinks work again that rest, or have failed."""

    def act(there: "Deployed", name: str) -> None:
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
def reset(deployment: Deployment, connector: Name, connect: Address = "", as_json: Json = False) -> None:
    """Fill what a sink has from the oldest record on: its index is dropped, and made again.

    Its open dead letters count as replayed, because their documents are sent again too.
    """
    from headrace.streams.admin import dead_letters

    settings = deployment.settings()

    def stopped(one: "Rendered") -> list[str]:
        sink = str(one.source.sink)
        known = dead_letters.names(settings, deployment.topology)
        count = dead_letters.settle_sink(settings, sink) if sink in known else 0
        return [f"{count} dead letter(s) are settled"] if count else []

    with failures():
        there = look(deployment, connect)
        (name,) = there.named([connector])
        done = there.reset(name, stopped)
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
    from headrace.connectors.connect.deployment import NotOurs
    from headrace.connectors.search.index import SearchFailed
    from headrace.connectors.sinks import SinkMistake

    try:
        yield
    except (ConnectFailed, SearchFailed) as error:
        raise Failure(ENVIRONMENT, str(error)) from None
    except (SinkMistake, NotOurs) as error:
        raise Failure(USAGE, str(error)) from None


def _data(one: "Rendered") -> dict[str, Any]:
    index = None if one.index is None else {"name": one.index.name, "body": one.index.body}
    return {"name": one.name, "config": one.config, "index": index, "sql": one.sql, "notes": one.notes}


def _row(name: str, found: dict[str, Any] | None, lag: int | None, dead_letters: int | None) -> dict[str, Any]:
    state = "MISSING" if found is None else str(found["connector"]["state"])
    tasks = [
        {"id": task["id"], "state": task["state"], "error": _cause(task.get("trace", ""))}
        for task in (found or {}).get("tasks", ())
    ]
    runs = state == "RUNNING" and bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)
    return {"name": name, "state": state, "runs": runs, "tasks": tasks, "lag": lag, "dead_letters": dead_letters}


def _cause(trace: str) -> str:
    """The last cause of a task's failure, which says most."""
    causes = [line for line in trace.splitlines() if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else trace.partition("\n")[0])[:500]

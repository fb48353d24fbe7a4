"""`headrace send`, `state`, `events`: one command, one root's state, one root's history."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import typer

from headrace.cli import show
from headrace.cli.deployment import Deployment, InEdition, Json, deployed
from headrace.cli.errors import ENVIRONMENT, NO, UNKNOWN, USAGE, Failure

Root = Annotated[str, typer.Argument(metavar="ROOT", help="The id of the aggregate that is meant.")]
Domain = Annotated[
    str | None, typer.Option("--domain", help="The root's domain; needed when the topology has several.")
]
AsOf = Annotated[
    str,
    typer.Option(
        metavar="SEQUENCE|TIME",
        help="As it was after the event with this sequence, or at this time, such as 2026-01-31T12:00Z.",
    ),
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the answer.")]


@deployed
def send(
    deployment: Deployment,
    what: Annotated[
        str,
        typer.Argument(
            metavar="TYPE|DOMAIN",
            help="The command's type, such as DepositFunds, poker.v1.DepositFunds or player/DepositFunds; "
            'or a domain, where the JSON has the type: {"@type": "DepositFunds", …}.',
        ),
    ],
    root: Root,
    text: Annotated[
        str,
        typer.Argument(metavar="JSON", help="The command in proto3's JSON; @FILE reads a file, - reads stdin."),
    ],
    expected_sequence: Annotated[
        int | None,
        typer.Option(min=-1, help="Of the root's last event as you know it, -1 for none; else the command may fail."),
    ] = None,
    command_id: Annotated[
        str, typer.Option("--id", help="The command's id; the same id again gets the first answer again.")
    ] = "",
    timeout: Timeout = 10.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the answer; print the id.")] = False,
    now: Annotated[
        str, typer.Option(metavar="TIME", help="With --edition: when it is decided, such as 2026-01-31T12:00Z.")
    ] = "",
    edition: InEdition = None,
    as_json: Json = False,
) -> None:
    """Send a command and print the answer to it.

    Exit code 0 when it was accepted, 1 when it was rejected or failed, 4 when no answer came in time.
    """
    _check_root(root)
    spec, command = show.read_command(deployment.topology, what, show.read_text(text))
    options: dict[str, Any] = {
        "root": root,
        "expected_sequence": expected_sequence,
        "command_id": command_id or None,
        "domain": spec.name,
        "now": _time(deployment, edition, now),
    }
    if no_wait:

        async def go(client: Any) -> str:
            sent: str = await client.send(command, **options)
            await client.flush()
            return sent

        show.say(_with_client(deployment, spec.name, edition, go), as_json, key="command_id")
        return
    reply = _with_client(deployment, spec.name, edition, lambda c: c.execute(command, timeout=timeout, **options))
    show.reply(reply, as_json)
    if not reply.accepted:
        raise typer.Exit(NO)


@deployed
def state(
    deployment: Deployment,
    root: Root,
    domain: Domain = None,
    as_of: AsOf = "",
    timeout: Timeout = 10.0,
    edition: InEdition = None,
    as_json: Json = False,
) -> None:
    """Print a root's state.

    A running worker is asked. Exit code 1 when the root has no events, or had none at that point.
    """
    _check_root(root)
    name, point = deployment.domain(domain), _point(as_of)
    found = _read(deployment, name, edition, root, timeout, lambda c: c.state(root, name, as_of=point, timeout=timeout))
    if found is None and not as_json:
        raise Failure(NO, f"{root} has no events in domain {name}" + _up_to(as_of))
    show.state(name, root, found, as_json)
    if found is None:
        raise typer.Exit(NO)


@deployed
def events(
    deployment: Deployment,
    root: Root,
    first: Annotated[int, typer.Option("--from", min=0, metavar="N", help="Begin with this sequence.")] = 0,
    domain: Domain = None,
    as_of: AsOf = "",
    timeout: Timeout = 10.0,
    raw: Annotated[bool, typer.Option("--raw", help="As the log has them: no upcaster lifts old ones.")] = False,
    edition: InEdition = None,
    as_json: Json = False,
) -> None:
    """Print a root's events in order.

    A running worker is asked. Exit code 1 when there are none.
    """
    _check_root(root)
    name, point = deployment.domain(domain), _point(as_of)

    async def go(client: Any) -> int:
        count = 0
        async for event in client.events(root, first, name, as_of=point, timeout=timeout, lift=not raw):
            show.event(event, as_json)
            count += 1
        return count

    if not _read(deployment, name, edition, root, timeout, go):
        if as_json:
            raise typer.Exit(NO)
        begin = f" from sequence {first} on" if first else ""
        raise Failure(NO, f"{root} has no events in domain {name}{begin}{_up_to(as_of)}")


def _time(deployment: Deployment, edition: str | None, now: str) -> datetime | None:
    """The time that `--now` names."""
    from headrace.schemas.record import since_epoch
    from headrace.topology.names import MAIN

    if not now:
        return None
    if deployment.settings(edition=edition).edition == MAIN:
        raise Failure(USAGE, f"--now {now}: in {MAIN} a command is decided at the time of its record; give --edition")
    try:
        since_epoch(time := datetime.fromisoformat(now))
    except ValueError as error:
        raise Failure(USAGE, f"--now {now}: {error}; give a time such as 2026-01-31T12:00Z") from None
    return time


def _point(as_of: str) -> int | datetime | None:
    """The point that `--as-of` names."""
    from headrace.topology.as_of import point_of

    if not as_of:
        return None
    try:
        point = int(as_of) if as_of.lstrip("-").isdecimal() else datetime.fromisoformat(as_of)
        point_of(point)
    except ValueError as error:
        raise Failure(
            USAGE, f"--as-of {as_of}: {error}; give a sequence, or a time such as 2026-01-31T12:00Z"
        ) from None
    return point


def _up_to(as_of: str) -> str:
    return f" as of {as_of}" if as_of else ""


def _check_root(root: str) -> None:
    try:
        size = len(root.encode())
    except UnicodeEncodeError:
        raise Failure(USAGE, f"root {root!r} is not UTF-8") from None
    if not 0 < size <= 1024 or min(root) < " ":
        raise Failure(USAGE, f"root {root[:50]!r} must have 1 to 1024 bytes, and no control characters")


def _read(deployment: Deployment, domain: str, edition: str | None, root: str, timeout: float, ask: Any) -> Any:
    from headrace.streams.client import OutcomeUnknown

    try:
        return _with_client(deployment, domain, edition, ask)
    except OutcomeUnknown:
        raise Failure(
            UNKNOWN, f"no answer about {root} within {timeout:g} s; is a worker for domain {domain} running, and ready?"
        ) from None


def _with_client(deployment: Deployment, domain: str, edition: str | None, ask: Any) -> Any:
    """What `await ask(client)` gives, once the topics it needs are known to be there."""
    from headrace.cli import logs as log
    from headrace.streams.admin.topics import admin
    from headrace.streams.client import Client
    from headrace.topology.names import MAIN

    settings = deployment.settings(edition=edition)
    if settings.log == "debug":
        log.set_up("debug")
    else:
        log.be_quiet()
    names = settings.names
    # without this, a command to a topic that is not there would end in a timeout, or make the topic
    present = admin(settings).list_topics(timeout=10).topics
    missing = [t for t in (names.topic(settings.edition, domain, "commands"), names.replies) if t not in present]
    if missing:
        how = "`headrace topics create` makes them"
        if settings.edition != MAIN:
            how = f"is there an edition {settings.edition}? `headrace editions list` shows them"
        raise Failure(ENVIRONMENT, f"missing topic(s): {', '.join(missing)}; {how}")

    async def run() -> Any:
        async with Client(deployment.topology, settings) as client:
            return await ask(client)

    return asyncio.run(run())

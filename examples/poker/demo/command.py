"""`headrace demo`: real poker hands through real Kafka, checked against what really happened."""

import asyncio
import json
import random
import signal
import time
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, on_cluster
from headrace.cli.errors import NO, USAGE, Failure

if TYPE_CHECKING:
    from headrace.embedded import EmbeddedKafka
    from headrace.examples.poker.demo.chaos import Chaos
    from headrace.examples.poker.demo.check import Checked
    from headrace.examples.poker.demo.cluster import Workers
    from headrace.examples.poker.demo.play import Played
    from headrace.examples.poker.demo.read_side import Compared
    from headrace.examples.poker.demo.screen import Screen
    from headrace.examples.poker.demo.what_if import Branched
    from headrace.examples.poker.history import HandHistory
    from headrace.streams.settings import Settings

_SHOWN = 10
_KILLS = 6  # of workers, with --chaos
_AT_ONCE = 64  # hands, with --chaos: less than else, so that more of them begin among broken things


@on_cluster
def demo(
    deployment: Deployment,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.phhs", help="Hands to play; by default the sample that is bundled.")
    ] = None,
    hands: Annotated[int | None, typer.Option("--hands", min=1, metavar="N", help="Only the first N hands.")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=64, metavar="N", help="Worker processes: 1, with --chaos 2 at least."),
    ] = None,
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Kill workers with -9 and restart the broker while hands are played.")
    ] = False,
    read_side: Annotated[
        bool, typer.Option("--read-side", help="Also bring documents to other systems, and compare each of them.")
    ] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Also let hands go on as if the last fold had been a call.")
    ] = False,
    search: Annotated[
        str,
        typer.Option(
            "--search", metavar="URL", help="With --read-side: an OpenSearch or Elasticsearch; by default SEARCH_URL."
        ),
    ] = "",
    redis: Annotated[
        str,
        typer.Option(
            "--redis",
            metavar="URL",
            help="With --read-side: by default REDIS_URL, else a redis-server that is installed here is started.",
        ),
    ] = "",
    fakesnow: Annotated[
        Path | None,
        typer.Option("--fakesnow", metavar="PYTHON", help="With --read-side: a Python with fakesnow, for Snowflake."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Play real poker hands through real Kafka, and through a whole poker room.

    Players buy in from their accounts, hands are played at tables, results go back to the accounts. Then reads the
    event log back and compares it with the file, and each chip with where it came from. Starts a Kafka of its own,
    unless --bootstrap or HEADRACE_BOOTSTRAP names brokers; there it uses topics of its own, and removes them, and
    --chaos leaves the brokers alone. Exit code 0 when every hand ended as the file says and no chip is missing, 1 when
    not.

    --read-side plays the same on a Kafka of its own, with projectors. Documents go to a search server by Kafka Connect,
    to Redis, and into Snowflake's form, as far as these are there; what is not is named, with how to get it. Exit code
    1 when a document differs from what the event log says.

    --what-if plays the same on a Kafka of its own. Then each hand branches where the last player folded: he calls, and
    all check or call to the end. Once in memory, once in an edition, beside what really happened. Exit code 1 when both
    do not end the same, or main has changed.
    """
    from headrace.cli import logs as log
    from headrace.examples.poker.demo.check import check
    from headrace.examples.poker.demo.cluster import QUICK, cluster, demo_workers
    from headrace.examples.poker.demo.play import read_hands
    from headrace.examples.poker.demo.screen import Screen

    log.be_quiet()
    screen = Screen(silent=as_json)
    chosen = [
        name
        for name, is_chosen in (("--read-side", read_side), ("--what-if", what_if), ("--chaos", chaos))
        if is_chosen
    ]
    if len(chosen) > 1:
        raise Failure(USAGE, f"{chosen[0]} and {chosen[1]} are two demos; choose one of them")
    if not read_side and (search or redis or fakesnow):
        raise Failure(USAGE, "--search, --redis and --fakesnow are for --read-side; give that too")
    history = read_hands(file, hands)
    if read_side:
        _read_side(deployment, history, workers or 1, (search, redis, fakesnow), screen, as_json)
        return
    if what_if:
        _what_if(deployment, history, workers or 1, screen, as_json)
        return
    follow = _most_to_tell(history)
    count = max(workers or 1, 2 if chaos else 1)
    with (
        _terminable(),
        cluster(deployment, screen, count, QUICK if chaos else {}) as (settings, kafka),
        demo_workers(settings, count) as running,
    ):
        screen.say(f"{count} worker(s) ready; {len(history):,} hands to play")
        faults = _faults(history, running, kafka, screen) if chaos else None
        played = asyncio.run(_play(settings, history, running, faults, screen))
        running.stop()
        screen.say("all answered; reading the event log back")
        checked = check(settings, history, played, follow.root, hung=running.hung)
        running.keep_logs = bool(checked.mismatched)
    _tell(history, played, checked, faults, follow, as_json)
    if checked.mismatched:
        typer.echo(f"the workers' logs: {running.folder}", err=True)
        raise typer.Exit(NO)


def _read_side(
    deployment: Deployment,
    history: Sequence["HandHistory"],
    workers: int,
    named: tuple[str, str, Path | None],
    screen: "Screen",
    as_json: bool,
) -> None:
    """The demo with documents in other systems, `named` by the user."""
    from headrace.examples.poker import read_side
    from headrace.examples.poker.demo.check import check
    from headrace.examples.poker.demo.cluster import cluster, demo_workers
    from headrace.examples.poker.demo.read_side import TOPOLOGY, compare, feeding
    from headrace.examples.poker.demo.systems import systems

    _no_brokers_named(deployment, "--read-side")
    prefix = f"demo-{uuid.uuid4().hex[:8]}."
    with (
        _terminable(),
        systems(*named, screen) as there,
        cluster(deployment, screen, workers, {}, read_side, prefix) as (settings, _),
        demo_workers(settings, workers, TOPOLOGY) as running,
        feeding(settings, there, running.folder, screen) as feeds,
    ):
        screen.say(f"{workers} worker(s) ready; {len(history):,} hands to play")
        started = time.perf_counter()
        played = asyncio.run(_play(settings, history, running, None, screen))
        screen.say("all hands are played; waiting until all documents are everywhere, to compare them")
        found = compare(settings, there, feeds, started)
        checked = check(settings, history, played, "", hung=running.hung)
        found.mismatched += [f"{root}: {'; '.join(why)}" for root, why in checked.mismatched.items()]
        running.keep_logs = bool(found.mismatched)
    _tell_documents(len(history), found, as_json)
    if found.mismatched:
        typer.echo(f"the workers' logs: {running.folder}", err=True)
        raise typer.Exit(NO)


def _what_if(
    deployment: Deployment, history: Sequence["HandHistory"], workers: int, screen: "Screen", as_json: bool
) -> None:
    """The demo with hands that end otherwise than they did."""
    from headrace.examples.poker.demo.check import check
    from headrace.examples.poker.demo.cluster import cluster, demo_workers
    from headrace.examples.poker.demo.what_if import branch_out

    _no_brokers_named(deployment, "--what-if")
    with (
        _terminable(),
        cluster(deployment, screen, workers, {}) as (settings, _),
        demo_workers(settings, workers) as running,
    ):
        screen.say(f"{workers} worker(s) ready; {len(history):,} hands to play")
        played = asyncio.run(_play(settings, history, running, None, screen))
        screen.say("all hands are played; now they branch at their last fold, in memory and in an edition")
        found = asyncio.run(branch_out(settings, [hand.root for hand in history]))
        checked = check(settings, history, played, "", hung=running.hung)
        wrong = [*found.differing, *(f"{root}: {'; '.join(why)}" for root, why in checked.mismatched.items())]
        running.keep_logs = bool(wrong)
    _tell_branches(len(history), found, wrong, as_json)
    if wrong or not found.main_unchanged or found.editions_left:
        raise typer.Exit(NO)


def _no_brokers_named(deployment: Deployment, option: str) -> None:
    if deployment.settings(own_kafka=False).bootstrap:
        raise Failure(USAGE, f"{option} brings a Kafka of its own; leave out --bootstrap and HEADRACE_BOOTSTRAP")


def _tell_branches(hands: int, found: "Branched", wrong: list[str], as_json: bool) -> None:
    gained = sum(ending.gain > 0 for ending in found.endings)
    if as_json:
        result = {
            "hands": hands,
            "branched": len(found.endings),
            "same_in_both": found.same_in_both,
            "main_unchanged": found.main_unchanged,
            "editions_left": found.editions_left,
            "would_have_gained": gained,
            "seconds_in_memory": round(found.seconds_in_memory, 3),
            "seconds_in_edition": round(found.seconds_in_edition, 3),
            "mismatched": wrong,
        }
        typer.echo(json.dumps(result))
        return
    from headrace.examples.poker.demo.story import side_by_side

    if found.endings:
        for line in side_by_side(max(found.endings, key=lambda ending: abs(ending.gain))):
            typer.echo(line)
    typer.echo(
        f"\n{len(found.endings):,} of {hands:,} hands branched: {gained} of the players who folded would have gained\n"
        f"{found.same_in_both:,} ended the same in memory ({found.seconds_in_memory:.1f} s) and in an edition "
        f"({found.seconds_in_edition:.1f} s)\n"
        f"main is {'unchanged' if found.main_unchanged else 'CHANGED'}, {found.editions_left} editions are left"
    )
    _tell_wrong(wrong)


def _tell_wrong(wrong: list[str]) -> None:
    for line in wrong[:_SHOWN]:
        typer.echo(f"  {line}")
    if len(wrong) > _SHOWN:
        typer.echo(f"  … and {len(wrong) - _SHOWN} more; --json lists them all")


def _tell_documents(hands: int, found: "Compared", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"hands": hands, **asdict(found)}))
        return
    typer.echo(f"{hands:,} hands in {found.seconds:.1f} s, until all documents were everywhere")
    typer.echo(f"{found.documents_matched:,} of {found.documents:,} documents are as the event log says")
    for name, count, matched in (
        ("the search server", found.search, found.search_matched),
        ("Redis", found.redis, found.redis_matched),
    ):
        if count is not None:
            typer.echo(f"{matched:,} of {count:,} in {name}")
    if "snowflake" not in found.left_out:
        typer.echo("the SQL for Snowflake ran on fakesnow")
    for name, why in found.left_out.items():
        typer.echo(f"left out: {name}: {why}")
    _tell_wrong(found.mismatched)


def _faults(
    history: Sequence["HandHistory"], workers: "Workers", kafka: "EmbeddedKafka | None", screen: "Screen"
) -> "Chaos":
    from headrace.examples.poker.demo.chaos import Chaos, Plan

    chance = random.Random()
    plan = Plan.make(chance, len(history), _KILLS, 1 if kafka else 0)
    return Chaos(workers, kafka, plan, chance, screen.say)


async def _play(
    settings: "Settings",
    history: Sequence["HandHistory"],
    workers: "Workers",
    faults: "Chaos | None",
    screen: "Screen",
) -> "Played":
    """Play, as long as the workers live."""
    from headrace.examples.poker import room
    from headrace.examples.poker.demo.play import Play, funds
    from headrace.examples.poker.demo.watch import watching
    from headrace.streams.client import Client

    async with Client(room, settings) as client, watching(settings) as watch:
        with screen.progress("hands", len(history)) as progress:
            play = Play(client, watch, progress)
            if faults:
                play.gate, play.at_once, play.patience = faults.gate, _AT_ONCE, 5.0
            return await alive(play.run(history, funds(history)), workers, faults)


async def alive(playing: Coroutine[Any, Any, "Played"], workers: "Workers", faults: "Chaos | None") -> "Played":
    """Let hands be played, and faults strike, while the workers are looked after."""
    play = asyncio.create_task(playing)
    tasks = [play, asyncio.create_task(faults.run())] if faults else [play]
    try:
        while not play.done():
            workers.check()
            done, _ = await asyncio.wait(tasks, timeout=0.5, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        if faults:
            await faults.stop()
            await tasks[-1]
    finally:
        for task in tasks:
            task.cancel()
    return play.result()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that nothing is left behind."""

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _most_to_tell(history: Sequence["HandHistory"]) -> "HandHistory":
    """A hand with a showdown and much before it, if there is one."""
    return max(history, key=lambda hand: (any(" sm" in action for action in hand.actions), len(hand.actions)))


def _tell(
    history: Sequence["HandHistory"],
    played: "Played",
    checked: "Checked",
    faults: "Chaos | None",
    follow: "HandHistory",
    as_json: bool,
) -> None:
    from headrace.examples.poker.demo.check import chips

    roots = {hand.root for hand in history}
    missed = len(roots & checked.mismatched.keys())
    rate = played.commands / played.seconds
    chips_in, chips_out = chips(checked.chips_in, history), chips(checked.chips_out, history)
    if as_json:
        result = {
            "hands": len(history),
            "commands": played.commands,
            "events": checked.events,
            "matched": len(history) - missed,
            "mismatched": [{"root": root, "why": why} for root, why in checked.mismatched.items()],
            "rejected": played.rejected,
            "seconds": round(played.seconds, 3),
            "commands_per_second": round(rate),
            "chips_in": chips_in,
            "chips_out": chips_out,
            "sagas": checked.sagas,
            "compensations": checked.compensations,
        }
        if faults:
            result |= {"worker_kills": faults.kills, "broker_restarts": faults.broker_restarts}
        typer.echo(json.dumps(result))
        return
    from headrace.examples.poker.demo.story import tell

    typer.echo(f"\nHand {follow.root}, as the event log tells it:")
    for line in tell(checked.story):
        typer.echo(line)
    typer.echo(
        f"\n{played.commands:,} commands in {played.seconds:.1f} s ({rate:,.0f} a second), {played.rejected} rejected; "
        f"{checked.sagas:,} more by sagas, {checked.compensations} of them refused and compensated\n"
        f"{checked.events:,} events on the log, every root's in sequence, every command and fact handled once\n"
        f"{len(history) - missed:,} of {len(history):,} hands ended with the stacks that {follow.source} gives\n"
        f"{chips_in:,} chips were brought, {chips_out:,} are on the players' accounts"
    )
    if faults:
        typer.echo(
            f"meanwhile workers were killed {faults.kills} times and the broker {faults.broker_restarts} times; "
            f"{played.resent:,} commands were sent again"
        )
    for root, why in list(checked.mismatched.items())[:_SHOWN]:
        more = f" (and {len(why) - 2} more)" if len(why) > 2 else ""
        typer.echo(f"  {root}: {'; '.join(why[:2])}{more}")
    if len(checked.mismatched) > _SHOWN:
        typer.echo(f"  … and {len(checked.mismatched) - _SHOWN} more; --json lists them all")

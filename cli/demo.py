"""`headrace demo`: real poker hands through real Kafka, checked against what really happened."""

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, on_cluster
from headrace.cli.errors import NO

if TYPE_CHECKING:
    from headrace.cli.demo_check import Checked
    from headrace.cli.demo_cluster import Workers
    from headrace.cli.demo_play import Played
    from headrace.cli.demo_screen import Screen
    from headrace.examples.poker.history import HandHistory
    from headrace.streams.settings import Settings

_SHOWN = 10


@on_cluster
def demo(
    deployment: Deployment,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.phhs", help="Hands to play; by default the sample that is bundled.")
    ] = None,
    hands: Annotated[int | None, typer.Option("--hands", min=1, metavar="N", help="Only the first N hands.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, metavar="N", help="Worker processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Play real poker hands through real Kafka.

    Then reads the event log back and compares it with the file. Starts a Kafka of its own, unless --bootstrap or
    HEADRACE_BOOTSTRAP names brokers; there it uses topics of its own, and removes them. Exit code 0 when every hand
    ended as the file says, 1 when one did not.
    """
    from headrace.cli import log
    from headrace.cli.demo_check import check
    from headrace.cli.demo_cluster import cluster, demo_workers
    from headrace.cli.demo_play import read_hands
    from headrace.cli.demo_screen import Screen

    log.be_quiet()
    screen = Screen(silent=as_json)
    history = read_hands(file, hands)
    follow = _most_to_tell(history)
    with _terminable(), cluster(deployment, screen, workers) as settings:
        with demo_workers(settings, workers) as running:
            screen.say(f"{workers} worker(s) ready; {len(history):,} hands to play")
            played = asyncio.run(_play(settings, history, running, screen))
        screen.say("all answered; reading the event log back")
        checked = check(settings, history, played, follow.root)
    _tell(history, played, checked, follow, as_json)
    if checked.mismatched:
        raise typer.Exit(NO)


async def _play(
    settings: "Settings", history: Sequence["HandHistory"], workers: "Workers", screen: "Screen"
) -> "Played":
    """Play, as long as the workers live."""
    from headrace.cli.demo_play import play
    from headrace.examples.poker import topology
    from headrace.streams.client import Client

    async with Client(topology, settings) as client:
        with screen.progress("hands", len(history)) as progress:
            playing = asyncio.create_task(play(client, history, progress))
            try:
                while not playing.done():
                    workers.check()
                    await asyncio.wait([playing], timeout=0.5)
            finally:
                playing.cancel()
    return playing.result()


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
    history: Sequence["HandHistory"], played: "Played", checked: "Checked", follow: "HandHistory", as_json: bool
) -> None:
    roots = {hand.root for hand in history}
    missed = len(roots & checked.mismatched.keys())
    rate = played.commands / played.seconds
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
        }
        typer.echo(json.dumps(result))
        return
    from headrace.cli.demo_story import tell

    typer.echo(f"\nHand {follow.root}, as the event log tells it:")
    for line in tell(checked.story):
        typer.echo(line)
    typer.echo(
        f"\n{played.commands:,} commands in {played.seconds:.1f} s ({rate:,.0f} a second), {played.rejected} rejected; "
        f"{checked.events:,} events on the log, every root's in sequence\n"
        f"{len(history) - missed:,} of {len(history):,} hands ended with the stacks that {follow.source} gives"
    )
    for root, why in list(checked.mismatched.items())[:_SHOWN]:
        more = f" (and {len(why) - 2} more)" if len(why) > 2 else ""
        typer.echo(f"  {root}: {'; '.join(why[:2])}{more}")
    if len(checked.mismatched) > _SHOWN:
        typer.echo(f"  … and {len(checked.mismatched) - _SHOWN} more; --json lists them all")

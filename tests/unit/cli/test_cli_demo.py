"""The demo without Kafka: files, the order of play, the check of the log, the story."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from typer.testing import CliRunner, Result

from headrace.cli import demo_check
from headrace.cli.demo_check import Told, check
from headrace.cli.demo_play import Played, play, read_hands
from headrace.cli.demo_story import tell
from headrace.cli.main import app
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.hand import Hand
from headrace.examples.poker.history import HandHistory, commands
from headrace.streams.reply import Event, Reply, Status
from headrace.streams.settings import Settings
from headrace.topology import Rejected, Topology


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", *arguments])


# ---- files


def test_the_sample_is_there() -> None:
    hands = read_hands(None, None)
    assert len(hands) >= 100
    assert [hand.root for hand in read_hands(None, 2)] == [hand.root for hand in hands[:2]]


def test_a_file_that_cannot_be_read_is_exit_2(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.phhs"):
        result = run(str(path))
        assert result.exit_code == 2
        assert f"{path} cannot be read: " in result.stderr


def test_a_hand_that_cannot_be_played_is_named_before_anything_starts(tmp_path: Path) -> None:
    text = Path(pb.__file__).with_name("sample.phhs").read_text().partition("[2]")[0]
    file = tmp_path / "mine.phhs"
    file.write_text(text + text.replace("[1]", "[2]").replace("'p3 f'", "'p3 jumps'"))
    result = run(str(file), "--json")
    assert result.exit_code == 2
    assert "mine.phhs, hand 2: action 7, 'p3 jumps'" in json.loads(result.stdout)["error"]
    file.write_text("[1]\nvariant = 'PO'\n")
    assert "mine.phhs, hand 1: variant 'PO' is not played here" in run(str(file)).stderr


# ---- a table without Kafka


class Engine:
    """Stands for client and engine: decides commands as they come, in memory."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.log: list[tuple[str, int, Message]] = []
        self._spec = Topology(Hand).aggregate("hand")

    async def execute(self, command: Any, *, root: str, command_id: str, domain: str, timeout: float) -> Reply:
        state = self.states.setdefault(root, pb.HandState())
        try:
            found = self._decide(domain, state, command)
        except Rejected as rejected:
            await asyncio.sleep(0)
            return Reply(command_id, Status.REJECTED, root, -1, reason=str(rejected))
        for event in found:
            self.log.append((root, sum(1 for known, *_ in self.log if known == root), event))
        await asyncio.sleep(0)
        events = tuple(Event(0, "", event, b"", "", "", "", "") for event in found)
        return Reply(command_id, Status.ACCEPTED, root, 0, events)

    def _decide(self, domain: str, state: Any, command: Any) -> list[Message]:
        if domain == "player":
            return []
        made = self._spec.handlers[command.DESCRIPTOR.full_name].call(state, command)
        events = made if isinstance(made, list) else [made]
        for event in events:
            self._spec.appliers[event.DESCRIPTOR.full_name][1](state, event)
        return events


class Record:
    """A message of the events topic."""

    def __init__(self, root: str, sequence: int, event: Message) -> None:
        self._key, self._value = f"{root}|{sequence:020d}".encode(), event.SerializeToString()
        self._headers = [("ce_sequence", str(sequence).encode()), ("ce_type", event.DESCRIPTOR.full_name.encode())]

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


@pytest.fixture
def hands() -> list[HandHistory]:
    return read_hands(None, 5)


def played(hands: list[HandHistory]) -> tuple[Played, list[tuple[str, int, Message]]]:
    engine = Engine()
    seen: list[int] = []
    result = asyncio.run(play(engine, hands, seen.append))  # type: ignore[arg-type]
    assert seen == list(range(1, len(hands) + 1))
    return result, engine.log


def checked(
    monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory], result: Played, log: list[tuple[str, int, Message]]
) -> demo_check.Checked:
    def read(settings: Settings, topic: str) -> Iterator[Record]:
        return (Record(*entry) for entry in log if topic == "main.hand.events")

    monkeypatch.setattr(demo_check, "read", read)
    return check(Settings(), hands, result, hands[0].root)


def test_every_hand_is_played_in_order_and_matches(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    players = {player for hand in hands for player in hand.players}
    assert result.commands == sum(len(commands(hand)) for hand in hands) + 2 * len(players)
    assert result.rejected == 0
    found = checked(monkeypatch, hands, result, log)
    assert found.mismatched == {}
    assert found.events == len(log)
    assert found.story == [event for root, _, event in log if root == hands[0].root]


def test_what_the_log_lacks_or_doubles_is_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    first, second, third, *_ = (hand.root for hand in hands)
    spoiled = [entry for entry in log if entry[:2] != (first, 3) and entry[0] != third]
    spoiled.insert(spoiled.index(next(e for e in spoiled if e[0] == second)), next(e for e in log if e[0] == second))
    found = checked(monkeypatch, hands, result, spoiled).mismatched
    assert set(found) == {first, second, third}
    assert found[first][0].startswith("event 3 was to come, the log has 4")
    assert any("the answers told of" in why for why in found[second])
    assert "the hand is not over: 0 event(s)" in found[third][0]


def test_money_is_counted_from_bets_and_pots(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    root = hands[0].root
    award = next(event for known, _, event in log if known == root and isinstance(event, pb.HandAwarded))
    award.finishing_stacks[0] += 1
    award.finishing_stacks[1] -= 1
    assert "the bets and pots come to" in checked(monkeypatch, hands, result, log).mismatched[root][0]


def test_refusals_explain_a_hand_that_does_not_match(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    wrong = [a.replace("cbr 210", "cbr 20") for a in hands[0].actions]
    hands[0] = HandHistory(**{n: getattr(hands[0], n) for n in hands[0].__slots__} | {"actions": tuple(wrong)})
    result, log = played(hands)
    assert result.rejected > 0
    why = checked(monkeypatch, hands, result, log).mismatched[hands[0].root]
    assert "the hand is not over" in why[0]
    assert "Act was rejected: MrPink cannot bet or raise to 20" in why[1]


def test_events_of_strangers_are_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    found = checked(monkeypatch, hands, result, [*log, ("stranger", 0, log[0][2])])
    assert found.mismatched == {"stranger": ["the log holds 1 event(s), the answers told of 0"]}


# ---- the story


def test_a_hand_is_told_with_its_streets_and_pots(hands: list[HandHistory]) -> None:
    _, log = played(hands[:1])
    text = "\n".join(tell(event for _, _, event in log))
    assert "6 players with 10000 each: MrBlue posts 50, MrBlonde posts 100" in text
    assert "MrBlue is dealt Tc Qc" in text
    assert "Flop 7d 5h 9d: MrBlue checks, MrPink checks, pot 520" in text
    assert "River 7d 5h 9d 7c Qh: MrBlue bets 230, MrPink folds, 230 comes back uncalled, pot 520" in text
    assert "The pot of 520 goes to MrBlue 520, uncontested" in text


def test_amounts_are_told_in_chips() -> None:
    start = pb.HandStarted(
        posts=[
            pb.HandStarted.Post(player=p, starting_stack=s, blind=b) for p, s, b in (("a", 150, 25), ("b", 200, 50))
        ],
        units_per_chip=100,
    )
    assert next(tell([start])) == "  2 players: a posts 0.25, b posts 0.5"


def test_a_root_of_which_nothing_is_known_is_not_over(hands: list[HandHistory]) -> None:
    assert "no HandAwarded among them" in Told().mistakes(hands[0])[0]

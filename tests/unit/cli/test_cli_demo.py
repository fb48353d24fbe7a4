"""The demo without Kafka: the order of play, the check of the log, the story."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import room
from headrace.examples.poker.demo import check as demo_check
from headrace.examples.poker.demo.accounts import HandBook
from headrace.examples.poker.demo.chaos import Chaos, Plan
from headrace.examples.poker.demo.check import Checked, check, chips
from headrace.examples.poker.demo.play import Play, Played, funds, read_hands
from headrace.examples.poker.demo.story import tell
from headrace.examples.poker.demo.watch import Undone, Watch, signs
from headrace.examples.poker.history import HandHistory, commands
from headrace.streams.client import OutcomeUnknown, Reply
from headrace.streams.settings import Settings
from headrace.testing import TopologyDriver

# ---- a room without Kafka


class Record:
    """A message of a topic."""

    def __init__(self, key: bytes, value: bytes, headers: dict[str, bytes]) -> None:
        self.its_key, self.its_value, self.its_headers = key, value, dict(headers)

    def key(self) -> bytes:
        return self.its_key

    def value(self) -> bytes:
        return self.its_value

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.its_headers.items())

    def root(self) -> str:
        return self.its_key.decode().rpartition("|")[0]

    def kind(self) -> str:
        return self.its_headers["ce_type"].decode().removeprefix("poker.v1.")


class Engine:
    """Stands for client and engine: decides all as it comes, in memory, by the steps of production."""

    def __init__(self) -> None:
        self.driver = TopologyDriver(room, start=datetime(2026, 1, 1, tzinfo=UTC))
        self.watch = Watch()
        self.deaf = 0
        """To so many calls no answer comes."""
        self._seen: dict[str, int] = defaultdict(int)

    async def execute(
        self, command: Any, *, root: str, domain: str, command_id: str, correlation_id: str, timeout: float
    ) -> Reply:
        reply = self.driver.execute(command, root, domain=domain, command_id=command_id, correlation_id=correlation_id)
        return await self._answer(command_id, root, reply)

    async def record_fact(self, fact: Any, *, root: str, domain: str, external_id: str, timeout: float) -> Reply:
        reply = self.driver.record_fact(fact, root, domain=domain, external_id=external_id)
        return await self._answer(reply.command_id, root, reply)

    async def _answer(self, name: str, root: str, reply: Reply) -> Reply:
        for topic in ("main.player.events", "main.table.events", "main.hand.events", "main.course.events"):
            records = self.driver.records(topic)[self._seen[topic] :]
            self._seen[topic] += len(records)
            self.watch.note(signs(Record(r.key or b"", r.value or b"", dict(r.headers)) for r in records))  # type: ignore[misc]
        await asyncio.sleep(0)
        if self.deaf:
            self.deaf -= 1
            raise OutcomeUnknown(name, root, 1.0)
        return reply


Log = dict[str, list[Record]]


@pytest.fixture
def hands() -> list[HandHistory]:
    return read_hands(None, 3)


def played(hands: list[HandHistory], deaf: int = 0) -> tuple[Played, Log]:
    """What was answered, and all topics."""
    engine = Engine()
    engine.deaf = deaf
    seen: list[int] = []
    play = Play(engine, engine.watch, seen.append, despair=1.0)  # type: ignore[arg-type]
    result = asyncio.run(play.run(hands, funds(hands)))
    assert seen == list(range(1, len(hands) + 1))
    names = [engine.driver.topic(word, kind) for word in room.components for kind in ("events", "inbox")]
    log = {name: engine.driver.records(name) for name in names}
    return result, {
        name: [Record(r.key or b"", r.value or b"", dict(r.headers)) for r in records] for name, records in log.items()
    }


def checked(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory], result: Played, log: Log) -> Checked:
    def read(settings: Settings, topic: str) -> Iterator[Record]:
        return iter(log.get(topic, ()))

    monkeypatch.setattr(demo_check, "read", read)
    return check(Settings(), hands, result, hands[0].root)


def test_every_hand_goes_through_the_room_and_every_chip_is_there(
    monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]
) -> None:
    result, log = played(hands)
    found = checked(monkeypatch, hands, result, log)
    assert found.mismatched == {}
    players = {player for hand in hands for player in hand.players}
    seats = sum(len(hand.players) for hand in hands)
    told = sum(len(commands(hand)) - 1 for hand in hands)  # the dealer starts the hand
    assert result.commands == 2 * len(players) + told + 2 * seats + 2 * len(hands) + result.guests
    assert result.rejected == 0
    assert found.events == sum(len(records) for name, records in log.items() if name.endswith(".events"))
    assert found.chips_in == found.chips_out == sum(sum(hand.starting_stacks) for hand in hands)
    assert (found.facts, found.compensations, found.timeouts) == (len(hands), result.guests, 0)
    bets = sum(record.kind() == "BetTaken" for record in log["main.table.events"])
    assert found.sagas == 3 * seats + 2 * len(hands) + bets + result.guests
    assert [type(event).__name__ for event in found.story] == [
        record.kind() for record in log["main.hand.events"] if record.root() == hands[0].root
    ]


def test_what_got_no_answer_is_sent_again_and_done_once(
    monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]
) -> None:
    result, log = played(hands[:1], deaf=15)
    assert result.resent == 15
    assert checked(monkeypatch, hands[:1], result, log).mismatched == {}


def spoil(log: Log, topic: str, root: str, kind: str) -> tuple[list[Record], int]:
    """A topic, and the place of the first event of a type of a root in it."""
    records = log[topic]
    return records, next(i for i, r in enumerate(records) if r.root() == root and r.kind() == kind)


def test_what_the_log_lacks_or_doubles_is_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    first, second, third = (hand.root for hand in hands)
    records, at = spoil(log, "main.hand.events", first, "ActionTaken")
    del records[at]
    records, at = spoil(log, "main.hand.events", second, "HoleCardsDealt")
    records.insert(at, records[at])
    log["main.hand.events"] = [r for r in log["main.hand.events"] if r.root() != third]
    found = checked(monkeypatch, hands, result, log).mismatched
    assert any(why.startswith("event 7 was to come, the log has 8") for why in found[first])
    assert any("the answer told of" in why for why in found[second])
    assert "the hand is not over: 0 event(s)" in found[third][0]


def renumbered(records: list[Record], root: str) -> None:
    """Give a root's events the places that they have now, as if nothing had been put in or left out."""
    for number, record in enumerate(r for r in records if r.root() == root):
        record.its_key = f"{root}|{number:020d}".encode()
        record.its_headers["ce_sequence"] = str(number).encode()


def test_what_is_handled_twice_is_found_though_nothing_else_shows_it(
    monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]
) -> None:
    result, log = played(hands[:1])
    table = f"table-{hands[0].root}"
    records, at = spoil(log, "main.table.events", table, "BetTaken")
    again = records[at]
    records.append(Record(again.its_key, again.its_value, again.its_headers))
    renumbered(records, table)
    why = checked(monkeypatch, hands[:1], result, log).mismatched[table]
    assert any("was handled twice" in text for text in why)
    assert any(text.startswith("bet 2 is ") for text in why)


def test_a_fact_booked_twice_is_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands[:1])
    player = hands[0].players[0]
    records, at = spoil(log, "main.player.events", player, "FundsDeposited")
    again = records[at]
    records.append(Record(again.its_key, again.its_value, {**again.its_headers, "ce_causationid": b"another"}))
    renumbered(records, player)
    why = checked(monkeypatch, hands[:1], result, log).mismatched[player]
    assert any("was recorded twice" in text for text in why)
    assert any("the balance that the event gives" in text for text in why)


@pytest.mark.parametrize(
    ("topic", "kind", "said"),
    [
        ("player", "FundsSettled", "chips are still at table-"),
        ("player", "FundsReserved", "and brought"),
        ("table", "PlayerLeft", "what is still on the table"),
        ("table", "HandSettled", "who leaves, is 10310, and should be 10000"),
        ("course", "CourseEnded", "how often the hand's process has ended is 0"),
    ],
)
def test_chips_that_are_lost_on_their_way_are_found(
    topic: str, kind: str, said: str, monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]
) -> None:
    result, log = played(hands[:1])
    records = log[f"main.{topic}.events"]
    at = max(i for i, record in enumerate(records) if record.kind() == kind)
    root = records[at].root()
    del records[at]
    renumbered(records, root)
    found = checked(monkeypatch, hands[:1], result, log)
    assert any(said in text for why in found.mismatched.values() for text in why), found.mismatched


def test_what_a_saga_sends_twice_is_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands[:1])
    sent = log["main.table.inbox"]
    sent.append(next(record for record in sent if "ce_path" in record.its_headers))
    (why,) = checked(monkeypatch, hands[:1], result, log).mismatched["table"]
    assert why.endswith("was sent 2 times")


def test_dead_letters_are_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands[:1])
    log["main.usher.dead-letters"] = [Record(b"anna", b"", {"ce_id": b"x"})]
    assert checked(monkeypatch, hands[:1], result, log).mismatched["anna"]


def test_money_is_counted_from_bets_and_pots(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    root = hands[0].root
    records, at = spoil(log, "main.hand.events", root, "HandAwarded")
    award = pb.HandAwarded.FromString(records[at].its_value)
    award.finishing_stacks[0] += 1
    award.finishing_stacks[1] -= 1
    records[at].its_value = award.SerializeToString()
    assert "the bets and pots are" in checked(monkeypatch, hands, result, log).mismatched[root][0]


def test_refusals_explain_a_hand_that_does_not_match(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    actions = tuple(action.replace("cbr 210", "cbr 20") for action in hands[0].actions)
    hands[0] = replace(hands[0], actions=actions)
    result, log = played(hands)
    assert result.rejected > 0
    found = checked(monkeypatch, hands, result, log).mismatched
    assert "the hand is not over" in found[hands[0].root][0]
    assert any("Act was rejected: MrPink cannot bet or raise to 20" in why for why in found[hands[0].root])
    assert f"chips are still at table-{hands[0].root}" in found["MrPink"]


def test_a_hand_that_cannot_be_started_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]
) -> None:
    hands[0] = replace(hands[0], min_bet=0)
    result, log = played(hands)
    why = checked(monkeypatch, hands, result, log).mismatched[hands[0].root]
    assert any(text.startswith("HandCancelled: ") for text in why), why


def test_events_of_strangers_are_found(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    result, log = played(hands)
    start = log["main.hand.events"][0]
    headers = {**start.its_headers, "ce_sequence": b"0", "ce_causationid": b"who"}
    log["main.hand.events"].append(Record(b"stranger|" + b"0" * 20, start.its_value, headers))
    found = checked(monkeypatch, hands, result, log)
    assert found.mismatched == {"stranger": ["1 event(s) are of who, which nobody sent"]}


def test_money_of_all_hands_is_in_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = read_hands(None, None)
    split = next(hand for hand in hands if any(stack % 10 for stack in hand.finishing_stacks or ()))
    assert {hand.units_per_chip for hand in hands} == {10}
    assert {hand.starting_stacks for hand in hands} == {(100_000,) * 6}
    result, log = played([split])
    found = checked(monkeypatch, [split], result, log)
    assert found.mismatched == {}
    assert chips(found.chips_out, [split]) == 60_000


def test_nobody_waits_for_ever() -> None:
    async def wait() -> None:
        await Watch().until("HandSettled", "h", 1, 0.01)

    with pytest.raises(Undone, match="0 of 1 HandSettled came"):
        asyncio.run(wait())


# ---- chaos


class Crew:
    """Stands for workers."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def __len__(self) -> int:
        return 2

    def restart(self, number: int) -> None:
        self.killed.append(number)

    def ready(self, number: int) -> bool:
        return True


def test_all_faults_strike_while_hands_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        for hands in (1, 5, 40, 400):
            chance = random.Random(hands)
            plan = Plan.make(chance, hands, 6, 0)
            assert max(plan.moments) < hands
            monkeypatch.setattr(chance, "random", lambda: 0.0)
            faults = Chaos(crew := Crew(), None, plan, chance, lambda text: None)  # type: ignore[arg-type]
            running = asyncio.create_task(faults.run())
            for number in range(hands):
                await faults.gate(number)
                assert faults.kills >= sum(moment <= number - plan.lead for moment in plan.moments)
            assert crew.killed == [0, 1] * 3
            await running

    asyncio.run(scenario())


# ---- the story


def test_a_hand_is_told_with_its_streets_and_pots(monkeypatch: pytest.MonkeyPatch, hands: list[HandHistory]) -> None:
    text = "\n".join(tell(checked(monkeypatch, hands[:1], *played(hands[:1])).story))
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
    assert "no HandAwarded among them" in HandBook().mistakes(hands[0])[0]

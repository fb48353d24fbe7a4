"""Whatever is played in the poker room, no chip is lost or made."""

from collections import defaultdict
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.examples import poker
from headrace.examples.poker import history, rules
from headrace.examples.poker import poker_pb2 as pb
from tests.support.room_play import ANN, BET, BOB, CALL, CY, FOLD, Room

SAMPLE = Path(poker.__file__).with_name("sample.phhs")


def test_recorded_hands_through_the_whole_room_end_as_their_file_says() -> None:
    room = Room()
    results: dict[str, int] = defaultdict(int)
    brought: dict[str, int] = defaultdict(int)
    hands = list(islice(history.read(SAMPLE), 0, None, 12))
    for hand in hands:
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            brought[player] += stack
    for player, stack in brought.items():
        room.welcome(player, min(stack, rules.MOST_CHIPS))
    for hand in hands:
        start, *orders = history.commands(hand)
        assert isinstance(start, pb.StartHand)
        room.open(hand.root)
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            room.join(player, stack, hand.root)
        room.tell(hand.root, pb.OpenHand(hand=hand.root, start=start), correlation_id=hand.root)
        for order in orders:
            assert room.tell(hand.root, order, correlation_id=hand.root).accepted
        state = room.hand(hand.root)
        assert history.differences(hand, state) == []
        for seat, stack in zip(state.seats, hand.starting_stacks, strict=True):
            assert room.stacks(hand.root)[seat.player] == seat.stack
            results[seat.player] += seat.stack - stack
            assert room.tell(hand.root, pb.LeaveTable(player=seat.player)).accepted
    room.check()
    for player, stack in brought.items():
        assert room.player(player).bankroll == stack + results[player]
    assert sum(results.values()) == 0


class Wild:
    """Three who do what they like at one table, one hand after the other."""

    def __init__(self, room: Room) -> None:
        self.room, self.played = room, 0

    @property
    def name(self) -> str:
        return f"h{self.played}"

    def start(self, player: str, amount: int) -> None:
        seated = sorted(self.room.stacks())
        fresh = f"h{self.played + 1}"
        if self.room.start(*seated, hand=fresh).accepted and self.room.hand(fresh).phase:
            self.played += 1
            self.room.deal(*seated, hand=fresh)

    def join(self, player: str, amount: int) -> None:
        self.room.join(player, 3 * amount)

    def leave(self, player: str, amount: int) -> None:
        self.room.tell("t", pb.LeaveTable(player=player))

    def release(self, player: str, amount: int) -> None:
        self.room.tell(player, pb.ReleaseFunds(key="t"))

    def wait(self, player: str, amount: int) -> None:
        self.room.driver.clock.advance(timedelta(seconds=amount / 10))

    def play(self, player: str, amount: int) -> None:
        """Whatever is next in the hand; the action depends on the amount."""
        state = self.room.hand(self.name)
        if state.phase == pb.HandState.BETTING:
            player = state.seats[state.to_act[0]].player
            action = [FOLD, CALL, CALL, BET, BET][amount % 5]
            self.room.act(player, action, max(2 * state.highest_bet, 2) + amount // 4, self.name)
        elif state.phase in (pb.HandState.BOARD_CARDS, pb.HandState.RUNOUT):
            board = ["2c", "7d", "9h", "Js", "Kc"][len(state.board) :][: state.cards_due]
            self.room.tell(self.name, pb.Deal(cards=board), correlation_id=self.name)
        else:
            self.room.award(self.name)


DEEDS = [Wild.play] * 12 + [Wild.start] * 3 + [Wild.join, Wild.leave, Wild.release, Wild.wait]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from([ANN, BOB, CY]), st.integers(1, 400)), max_size=60))
def test_whatever_they_do_no_chip_is_lost_or_made(deeds: list[tuple[Any, str, int]]) -> None:
    room = Room()
    for player in (ANN, BOB, CY):
        room.welcome(player, 1000)
    room.open(max_bet=100)
    for player in (ANN, BOB, CY):
        room.join(player, 300)
    wild = Wild(room)
    wild.start(ANN, 0)
    for deed, player, amount in deeds:
        deed(wild, player, amount)
        room.check()

"""Random hands, played side by side with the simulation of PokerKit: the same turns, limits, cards and stacks."""

import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit import Automation, HandHistory, Mode, NoLimitTexasHoldem

from headrace import Rejected
from headrace.examples.poker import cards, history, rules
from headrace.examples.poker import poker_pb2 as pb
from tests.support.poker_play import replay, tell

AUTOMATIC = tuple(
    automation
    for automation in Automation
    if automation.name not in ("HOLE_DEALING", "BOARD_DEALING", "HOLE_CARDS_SHOWING_OR_MUCKING")
)
CHANCE = st.randoms(use_true_random=False)
DECK = [card for card in cards.BITS if card != cards.UNKNOWN]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PokerKit warns of cards shown after they were hidden
        yield


class Table:
    """One hand in both engines. Odd stacks, antes and blinds come often, and so do few ranks, for split pots."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        count, big = chance.randint(2, 9), chance.choice([2, 10, 100])
        self.players = [f"p{i + 1}" for i in range(count)]
        self.stacks = [chance.choice([chance.randint(1, 3 * big), chance.randint(1, 30 * big)]) for _ in self.players]
        antes = chance.choice([[], [big // 2 + 1] * count, [0, big], [chance.randint(0, big) for _ in self.players]])
        blinds = chance.choice(
            [
                [big // 2, big],
                [big // 2, big, 2 * big],
                [big // 2, big] + [chance.choice([0, -big]) for _ in self.players],
                [chance.randint(0, 2 * big) for _ in self.players],
                [],
            ]
        )[:count]
        if not any(antes) and not any(blinds):
            blinds = [1]
        # Antes that differ are not for trimming: PokerKit burns chips there.
        self.trim = len(set(antes)) == 1 and chance.choice([False, True])
        self.game = NoLimitTexasHoldem(AUTOMATIC, self.trim, antes, blinds, big, mode=Mode.CASH_GAME)
        self.theirs: Any = self.game(self.stacks, count)
        self.ours = pb.HandState()
        self.deck = random.Random(chance.randint(0, 2**32)).sample(DECK, len(DECK))
        if chance.random() < 0.4:  # five ranks only, as far as the deck allows: many split pots
            self.deck.sort(key=lambda card: card[0] in "TJQKA")
        start = pb.StartHand(
            players=self.players, starting_stacks=self.stacks, antes=antes, blinds_or_straddles=blinds, min_bet=big
        )
        start.trim_antes = self.trim
        tell(self.ours, start)

    def deal(self, seat: int | None, count: int) -> None:
        new = [self.deck.pop() for _ in range(count)]
        tell(self.ours, pb.Deal(player="" if seat is None else self.players[seat], cards=new))
        if seat is None:
            self.theirs.deal_board("".join(new))
        else:
            self.theirs.deal_hole("".join(new), seat)

    def act(self, action: Any, amount: int = 0) -> None:
        tell(self.ours, pb.Act(player=self.players[self.theirs.actor_index], action=action, amount=amount))
        if action == pb.Act.FOLD:
            self.theirs.fold()
        elif action == pb.Act.CHECK_OR_CALL:
            self.theirs.check_or_call()
        else:
            self.theirs.complete_bet_or_raise_to(amount)

    def show(self) -> None:
        seat = self.theirs.showdown_index
        player, held = self.players[seat], [repr(card) for card in self.theirs.hole_cards[seat]]
        if not self.theirs.can_win_now(seat) and self.theirs.street_index == 3:
            tell(self.ours, pb.Act(player=player, action=pb.Act.MUCK))
            self.theirs.show_or_muck_hole_cards(False)
            return
        if self.chance.random() < 0.1:  # one card or both stay hidden
            held = self.chance.choice([[held[0], cards.UNKNOWN], [cards.UNKNOWN, cards.UNKNOWN]])
        tell(self.ours, pb.Act(player=player, action=pb.Act.SHOW, cards=held))
        self.theirs.show_or_muck_hole_cards("".join(held))

    def turn(self) -> None:
        """The same player is in turn, with the same bets to choose from; one of them is made."""
        assert list(self.ours.to_act) == list(self.theirs.actor_indices)
        bets = rules.bets(self.ours)
        least = self.theirs.min_completion_betting_or_raising_to_amount
        most = self.theirs.max_completion_betting_or_raising_to_amount
        assert bets.to_call == self.theirs.checking_or_calling_amount
        assert bets.raise_to == (None if least is None else (least, most))
        self.refused(least, most)
        choice = self.chance.random()
        if least is not None and choice < 0.35:
            self.act(pb.Act.BET_OR_RAISE_TO, self.chance.choice([least, most, self.chance.randint(least, most)]))
        elif bets.to_call and choice > 0.8:
            self.act(pb.Act.FOLD)
        else:
            self.act(pb.Act.CHECK_OR_CALL)

    def refused(self, least: int | None, most: int | None) -> None:
        before = self.ours.SerializeToString(deterministic=True)
        in_turn = self.players[self.theirs.actor_index]
        amounts = (
            [self.ours.highest_bet + 1, self.ours.highest_bet]
            if least is None or most is None
            else [least - 1, most + 1]
        )
        wrong: list[pb.Act | pb.Deal | pb.Award] = [
            pb.Act(player=in_turn, action=pb.Act.BET_OR_RAISE_TO, amount=amount)
            for amount in amounts
            if not self.theirs.can_complete_bet_or_raise_to(amount)
        ]
        assert len(wrong) == 2
        wrong += [pb.Act(player=p, action=pb.Act.CHECK_OR_CALL) for p in self.players if p != in_turn]
        wrong += [pb.Act(player=in_turn, action=pb.Act.SHOW), pb.Deal(cards=self.deck[:1]), pb.Award()]
        for command in wrong:
            with pytest.raises(Rejected, match=in_turn):
                tell(self.ours, command)
        assert self.ours.SerializeToString(deterministic=True) == before

    def play(self) -> None:
        for seat in range(len(self.players)):
            self.deal(seat, 2)
        while self.theirs.status:
            if self.theirs.actor_index is not None:
                self.turn()
            elif self.theirs.showdown_index is not None:
                self.show()
            else:
                assert self.ours.cards_due == self.theirs.board_dealing_count
                self.deal(None, self.theirs.board_dealing_count)
            if self.theirs.status:
                assert [seat.stack for seat in self.ours.seats] == list(self.theirs.stacks)
        tell(self.ours, pb.Award())


@settings(max_examples=100, deadline=None)
@given(chance=CHANCE)
def test_any_play_ends_with_the_stacks_of_pokerkit(chance: random.Random) -> None:
    table = Table(chance)
    table.play()
    stacks = [seat.stack for seat in table.ours.seats]
    assert stacks == list(table.theirs.stacks)
    assert sum(stacks) == sum(table.stacks)
    # The same hand, written down by PokerKit and read by us.
    written = HandHistory.from_game_state(
        table.game, table.theirs, finishing_stacks=stacks, ante_trimming_status=table.trim
    ).dumps()
    (hand,) = history.parse(written, "written.phh")
    assert history.differences(hand, replay(hand)) == []

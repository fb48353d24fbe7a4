"""The poker room in memory: players join and leave, bets are taken or reverted, turns time out."""

from datetime import timedelta

import pytest

from headrace import Flag, Rejection
from headrace.examples import poker
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import rules
from headrace.examples.poker.course import TIME_TO_ACT
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.topology.inspection.aggregate import AggregateSpec
from tests.support.room_play import ANN, BET, BOB, CALL, CY, FOLD, Room


@pytest.fixture
def room() -> Room:
    room = Room()
    for player in (ANN, BOB, CY):
        room.welcome(player, 1000)
    return room


# ---- joining and leaving


def test_a_player_with_funds_is_seated_and_takes_his_chips_home(room: Room) -> None:
    room.open()
    assert room.join(ANN, 400).accepted
    assert room.stacks() == {ANN: 400}
    assert (room.player(ANN).bankroll, dict(room.player(ANN).staked)) == (600, {"t": 400})
    room.check()
    assert room.tell("t", pb.LeaveTable(player=ANN)).accepted
    assert room.stacks() == {}
    settled = pb.FundsSettled(key="t", amount=400, reserved=400, new_balance=1000)
    assert room.driver.messages(ANN, "player")[-1] == settled
    room.check()


def test_without_funds_the_join_is_cancelled(room: Room) -> None:
    room.open()
    assert room.join(ANN, 1001).accepted
    cancelled = pb.JoinCancelled(player=ANN, reason="ann has 1000 to spend, not 1001")
    assert room.driver.messages("t", "table")[-1] == cancelled
    assert room.table().joining == {}
    assert room.join(ANN, 1000).accepted
    assert room.stacks() == {ANN: 1000}
    room.check()


def test_one_who_is_not_known_cannot_join(room: Room) -> None:
    room.open()
    room.join("nobody", 10)
    assert room.driver.messages("t", "table")[-1].reason == "player is not registered"
    room.check()


def test_a_table_says_whom_it_lets_in(room: Room) -> None:
    assert "not open" in room.join(ANN, 10).reason
    room.open(min_buy_in=100, max_buy_in=500)
    assert "already" in room.tell("t", pb.OpenTable()).reason
    assert "100 to 500, not 99" in room.join(ANN, 99).reason
    assert "100 to 500, not 501" in room.join(ANN, 501).reason
    room.join(ANN, 100)
    assert "ann cannot join" in room.join(ANN, 100).reason
    assert "nobody" in room.join("", 100).reason
    assert "does not sit here" in room.tell("t", pb.LeaveTable(player=BOB)).reason
    room.check()


def test_a_full_table_is_full(room: Room) -> None:
    room.open()
    for number in range(rules.MOST_PLAYERS):
        room.welcome(f"p{number}", 10)
        assert room.join(f"p{number}", 10).accepted
    assert "full" in room.join(ANN, 10).reason
    room.check()


def test_chips_on_a_table_cannot_be_spent_twice(room: Room) -> None:
    room.open()
    room.join(ANN, 400)
    assert "nothing is reserved for 't'" in room.tell(ANN, pb.ReleaseFunds(key="t")).reason
    assert "400 reserved for t already" in room.tell(ANN, pb.ReserveFunds(key="t", amount=1)).reason
    assert "600 to spend" in room.tell(ANN, pb.WithdrawFunds(amount=601)).reason
    assert "no chips" in room.tell(ANN, pb.SettleFunds(key="u", amount=1)).reason
    room.check()


def test_funds_reserved_for_a_table_that_nobody_joined_come_back(room: Room) -> None:
    room.open()
    assert room.tell(ANN, pb.ReserveFunds(key="t", amount=5, for_table=True)).accepted
    assert room.driver.messages(ANN, "player")[-1] == pb.FundsReleased(key="t", amount=5, new_balance=1000)
    room.check()


def test_a_payout_that_the_player_refuses_stays_on_the_table(room: Room) -> None:
    room.open()
    room.join(ANN, 400)
    room.tell(ANN, pb.SettleFunds(key="t", amount=0))  # somebody has tampered with the account
    room.tell("t", pb.LeaveTable(player=ANN))
    assert room.stacks() == {ANN: 400}


# ---- the fact of a payment


def confirm(room: Room, external_id: str, amount: int) -> Reply:
    fact = pb.DepositConfirmed(amount=amount)
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", f"{external_id}-{len(room.driver.records('headrace.replies'))}"),
        ("ce_source", "/bank"),
        ("ce_type", fact.DESCRIPTOR.full_name),
        ("ce_factid", external_id),
        ("ce_replyto", "headrace.replies/0"),
    ]
    room.driver.produce(room.driver.topic("player", "facts"), ANN.encode(), fact.SerializeToString(), headers)
    return Reply.FromString(room.driver.records("headrace.replies")[-1].value or b"")


def test_a_payment_is_booked_once_however_often_it_is_confirmed(room: Room) -> None:
    assert not confirm(room, "payment-1", 50).already_processed
    assert confirm(room, "payment-1", 50).already_processed
    confirm(room, "payment-2", rules.MOST_CHIPS)
    assert room.player(ANN).bankroll == 1050 + rules.MOST_CHIPS
    assert confirm(room, "payment-3", -1).status == Reply.FAILED
    assert "is no deposit" in room.driver.dead_letters("player")[0].error


# ---- a hand


@pytest.fixture
def playing(room: Room) -> Room:
    """Three of them before the flop; cy is to act."""
    room.open(max_bet=100)
    for player in (ANN, BOB, CY):
        room.join(player, 500)
    assert room.start(ANN, BOB, CY).accepted
    room.deal(ANN, BOB, CY)
    return room


def test_a_hand_is_played_with_the_stacks_of_the_table_and_settled_there(playing: Room) -> None:
    assert [seat.stack for seat in playing.hand().seats] == [499, 498, 500]
    playing.act(CY, BET, 50)
    playing.act(ANN, FOLD)
    playing.act(BOB, FOLD)
    assert playing.driver.messages("t", "table")[-1] == pb.BetTaken(hand="h", player=CY, amount=50, number=1)
    playing.award()
    assert playing.stacks() == {ANN: 499, BOB: 498, CY: 503}
    playing.check()
    playing.tell("t", pb.LeaveTable(player=CY))
    assert playing.player(CY).bankroll == 1003
    playing.check()


def test_nobody_leaves_in_the_middle_of_a_hand(playing: Room) -> None:
    reply = playing.tell("t", pb.LeaveTable(player=ANN))
    assert (reply.retryable, "plays hand h" in reply.reason) == (True, True)
    assert "not free to play here: ann" in playing.start(ANN, hand="i").reason
    assert "not in play" in playing.start(ANN).reason


def test_a_hand_that_cannot_start_is_cancelled(room: Room) -> None:
    room.open()
    room.join(ANN, 500)
    room.start(ANN)
    cancelled = pb.HandCancelled(hand="h", reason="a hand is played by 2 to 10 players, not 1")
    assert room.driver.messages("t", "table")[-1] == cancelled
    assert room.tell("t", pb.LeaveTable(player=ANN)).accepted
    room.check()


def test_a_bet_that_the_table_refuses_is_reverted_by_the_hand(playing: Room) -> None:
    """The textbook case: the hand accepts the bet, the table's limit forbids it, the hand takes it back."""
    before = playing.hand()
    assert playing.act(CY, BET, 101).accepted
    reverted = pb.BetReverted(player=CY, amount=101, number=1, reason="cy cannot bet 101: the table's limit is 100")
    assert playing.driver.messages("h", "hand")[-1] == reverted
    after = playing.hand()
    assert after.actions == 1
    after.actions = 0
    assert after == before
    assert "not ann's turn" in playing.act(ANN, FOLD).reason
    assert playing.act(CY, BET, 100).accepted
    assert playing.hand().highest_bet == 100
    playing.act(ANN, FOLD)
    playing.act(BOB, FOLD)
    playing.award()
    assert playing.stacks() == {ANN: 499, BOB: 498, CY: 503}
    playing.check()


def test_a_refused_call_that_closed_the_betting_opens_it_again(room: Room) -> None:
    room.open(max_bet=100)
    room.join(ANN, 150)
    room.join(BOB, 500)
    room.start(ANN, BOB, blinds_or_straddles=[1, 150], min_bet=150)  # ann is all in, bob has the button
    room.deal(ANN, BOB)
    room.act(BOB, CALL)
    closed, reverted = room.driver.messages("h", "hand")[-2:]
    assert closed.next == pb.HandState.RUNOUT
    assert reverted.amount == 149
    assert room.hand().phase == pb.HandState.BETTING
    assert room.act(BOB, FOLD).accepted
    room.award()
    assert room.stacks() == {ANN: 151, BOB: 499}
    room.check()


def test_a_bet_is_not_reverted_once_play_has_gone_on() -> None:
    """Nothing of what others did since is void; a person is told."""
    spec = poker.room.aggregate("hand")
    assert isinstance(spec, AggregateSpec)
    state = pb.HandState(table="t", actions=3, before=b"...")
    refusal = Rejection("too late", "rejected", "table", "t", "c", 5)
    answer = spec.compensators["poker.v1.TakeBet"].call(state, pb.TakeBet(player=CY, amount=9, number=2), refusal)
    assert answer is Flag.ESCALATE


# ---- time to act


def test_whoever_does_not_act_in_time_folds_and_the_hand_comes_to_its_end(playing: Room) -> None:
    playing.act(CY, BET, 10)
    playing.driver.clock.advance(TIME_TO_ACT - timedelta(seconds=1))
    assert len(playing.hand().to_act) == 2
    playing.act(ANN, CALL)
    playing.driver.clock.advance(TIME_TO_ACT - timedelta(seconds=1))
    assert playing.driver.state("h", "course").timeouts == 0
    playing.driver.clock.advance(timedelta(seconds=1))
    assert playing.driver.messages("h", "course")[-1] == pb.TurnTimedOut(player=BOB, action=FOLD)
    assert playing.hand().phase == pb.HandState.BOARD_CARDS
    playing.tell("h", pb.Deal(cards=["2c", "3c", "4c"]), correlation_id="h")
    playing.driver.clock.advance(TIME_TO_ACT)
    assert playing.driver.messages("h", "course")[-1] == pb.TurnTimedOut(player=ANN, action=CALL)
    playing.act(CY, BET, 10)
    playing.driver.clock.advance(TIME_TO_ACT)
    assert playing.hand().phase == pb.HandState.UNCONTESTED
    playing.driver.clock.advance(TIME_TO_ACT)
    assert playing.hand().phase == pb.HandState.AWARDED
    assert playing.driver.state("h", "course").over
    assert playing.stacks() == {ANN: 490, BOB: 498, CY: 512}
    playing.driver.clock.advance(timedelta(days=1))
    assert playing.driver.state("h", "course").timeouts == 3
    playing.check()


def test_time_runs_anew_after_a_bet_is_reverted(playing: Room) -> None:
    playing.driver.clock.advance(TIME_TO_ACT * 2 / 3)
    playing.act(CY, BET, 300)
    playing.driver.clock.advance(TIME_TO_ACT * 2 / 3)
    assert playing.driver.state("h", "course").timeouts == 0
    playing.driver.clock.advance(TIME_TO_ACT / 3)
    assert playing.hand().seats[2].folded


def test_a_turn_taken_too_late_for_a_player_changes_nothing(playing: Room) -> None:
    """What the course sends carries the sequence that it saw; here bob is in turn again when the command arrives."""
    playing.act(CY, FOLD)
    playing.act(ANN, CALL)
    seen = len(playing.driver.messages("h", "hand")) - 1
    playing.act(BOB, BET, 10)
    playing.act(ANN, BET, 40)
    late = playing.driver.execute(pb.Act(player=BOB, action=FOLD), "h", expected_sequence=seen)
    assert (late.status, late.retryable) == ("rejected", True)
    assert playing.act(BOB, CALL).accepted


# ---- chips


@pytest.mark.parametrize(
    ("players", "stacks", "said"),
    [
        ([ANN, BOB, CY], [500, 500, 501], "[500, 500, 501] cannot come of a hand that 1500 chips"),
        ([ANN, BOB, CY], [600, 1000, -100], "[600, 1000, -100] cannot come of a hand"),
        ([ANN, BOB], [750, 750], "hand 'h' is played here by"),
        ([ANN, BOB, CY], [1500], "hand 'h' is played here by"),
    ],
)
def test_a_table_takes_no_result_that_makes_or_loses_chips(
    playing: Room, players: list[str], stacks: list[int], said: str
) -> None:
    assert said in playing.tell("t", pb.SettleHand(hand="h", players=players, stacks=stacks)).reason
    playing.check()


def test_a_table_takes_no_bet_that_is_not_there(playing: Room) -> None:
    assert "has 500 left" in playing.tell("t", pb.TakeBet(hand="h", player=ANN, amount=-1)).reason
    assert "does not play hand" in playing.tell("t", pb.TakeBet(hand="i", player=ANN, amount=1)).reason
    playing.check()

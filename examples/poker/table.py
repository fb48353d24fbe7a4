"""A table: who sits there with how many chips. Stacks are moved by whole hands, once these are awarded."""

from headrace import Aggregate, Context, Flag, Rejected, Rejection, applies, compensates, handles
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.rules import MOST_PLAYERS


class Table(Aggregate[pb.TableState]):
    """The root is the table's id, under which players' accounts set their buy-ins aside."""

    domain = "table"

    @handles
    def open(self, state: pb.TableState, command: pb.OpenTable) -> pb.TableOpened:
        if state.open:
            raise Rejected("the table is open already")
        return pb.TableOpened(min_buy_in=command.min_buy_in, max_buy_in=command.max_buy_in, max_bet=command.max_bet)

    @handles
    def join(self, state: pb.TableState, command: pb.JoinTable) -> pb.JoinRequested:
        if not state.open:
            raise Rejected("the table is not open")
        if not command.player or command.player in state.seats or command.player in state.joining:
            raise Rejected(f"{command.player or 'nobody'} cannot join: named, and once, a player may")
        if len(state.seats) + len(state.joining) >= MOST_PLAYERS:
            raise Rejected(f"the table is full: {MOST_PLAYERS} sit here or are about to")
        most = state.max_buy_in or command.buy_in
        if not max(1, state.min_buy_in) <= command.buy_in <= most:
            raise Rejected(f"the buy-in is {max(1, state.min_buy_in)} to {most}, not {command.buy_in}")
        return pb.JoinRequested(player=command.player, buy_in=command.buy_in)

    @handles
    def seat(self, state: pb.TableState, command: pb.SeatPlayer) -> pb.PlayerSeated:
        if command.player not in state.joining or state.joining[command.player] != command.amount:
            raise Rejected(f"{command.player} has not asked to join with {command.amount}")
        return pb.PlayerSeated(player=command.player, stack=command.amount)

    @handles
    def open_hand(self, state: pb.TableState, command: pb.OpenHand, context: Context) -> pb.HandOpened:
        if not command.hand or any(seat.hand == command.hand for seat in state.seats.values()):
            raise Rejected(f"hand {command.hand!r} cannot be opened: it needs a name that is not in play")
        players = list(command.start.players)
        if idle := [p for p in players if p not in state.seats or state.seats[p].hand]:
            raise Rejected(f"not free to play here: {', '.join(idle)}")
        event = pb.HandOpened(hand=command.hand, start=command.start)
        event.start.table = context.root
        event.start.starting_stacks[:] = [state.seats[player].stack for player in players]
        return event

    @handles
    def take_bet(self, state: pb.TableState, command: pb.TakeBet) -> pb.BetTaken:
        seat = state.seats[command.player] if command.player in state.seats else pb.TableState.Seat()
        if not command.hand or seat.hand != command.hand:
            raise Rejected(f"{command.player} does not play hand {command.hand!r} here")
        if state.max_bet and command.amount > state.max_bet:
            raise Rejected(f"{command.player} cannot bet {command.amount}: the table's limit is {state.max_bet}")
        if not 0 < command.amount <= seat.stack - seat.bet:
            raise Rejected(f"{command.player} has {seat.stack - seat.bet} left, not {command.amount}")
        return pb.BetTaken(hand=command.hand, player=command.player, amount=command.amount, number=command.number)

    @handles
    def settle(self, state: pb.TableState, command: pb.SettleHand) -> pb.HandSettled:
        playing = {player: seat.stack for player, seat in state.seats.items() if seat.hand == command.hand}
        if not command.hand or set(playing) != set(command.players) or len(playing) != len(command.stacks):
            raise Rejected(f"hand {command.hand!r} is played here by {', '.join(playing) or 'nobody'}")
        if min(command.stacks) < 0 or sum(command.stacks) != sum(playing.values()):
            raise Rejected(f"{list(command.stacks)} cannot come of a hand that {sum(playing.values())} chips went into")
        return pb.HandSettled(hand=command.hand, players=command.players, stacks=command.stacks)

    @handles
    def leave(self, state: pb.TableState, command: pb.LeaveTable) -> pb.PlayerLeft:
        if command.player not in state.seats:
            raise Rejected(f"{command.player or 'nobody'} does not sit here")
        seat = state.seats[command.player]
        if seat.hand:
            raise Rejected(f"{command.player} plays hand {seat.hand}; leave after it", retryable=True)
        return pb.PlayerLeft(player=command.player, stack=seat.stack)

    @compensates
    def not_reserved(
        self, state: pb.TableState, command: pb.ReserveFunds, refusal: Rejection
    ) -> list[pb.JoinCancelled]:
        if refusal.root not in state.joining:
            return []
        return [pb.JoinCancelled(player=refusal.root, reason=refusal.reason)]

    @compensates
    def not_started(self, state: pb.TableState, command: pb.StartHand, refusal: Rejection) -> pb.HandCancelled:
        return pb.HandCancelled(hand=refusal.root, reason=refusal.reason)

    @compensates
    def not_settled(self, state: pb.TableState, command: pb.SettleFunds, refusal: Rejection) -> pb.PlayerSeated | Flag:
        if refusal.root in state.seats or refusal.root in state.joining:
            return Flag.ESCALATE
        return pb.PlayerSeated(player=refusal.root, stack=command.amount)  # the chips stay where they are

    @applies
    def opened(self, state: pb.TableState, event: pb.TableOpened) -> None:
        state.open = True
        state.min_buy_in, state.max_buy_in, state.max_bet = event.min_buy_in, event.max_buy_in, event.max_bet

    @applies
    def requested(self, state: pb.TableState, event: pb.JoinRequested) -> None:
        state.joining[event.player] = event.buy_in

    @applies
    def cancelled(self, state: pb.TableState, event: pb.JoinCancelled) -> None:
        del state.joining[event.player]

    @applies
    def seated(self, state: pb.TableState, event: pb.PlayerSeated) -> None:
        state.joining.pop(event.player, None)
        state.seats[event.player].stack = event.stack

    @applies
    def hand_opened(self, state: pb.TableState, event: pb.HandOpened) -> None:
        for player in event.start.players:
            state.seats[player].hand = event.hand

    @applies
    def bet_taken(self, state: pb.TableState, event: pb.BetTaken) -> None:
        state.seats[event.player].bet += event.amount

    @applies
    def settled(self, state: pb.TableState, event: pb.HandSettled) -> None:
        for player, stack in zip(event.players, event.stacks, strict=True):
            state.seats[player].CopyFrom(pb.TableState.Seat(stack=stack))

    @applies
    def hand_cancelled(self, state: pb.TableState, event: pb.HandCancelled) -> None:
        for seat in state.seats.values():
            if seat.hand == event.hand:
                seat.hand, seat.bet = "", 0

    @applies
    def left(self, state: pb.TableState, event: pb.PlayerLeft) -> None:
        del state.seats[event.player]

"""The whole poker room in memory, and what can be played in it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace import Topology
from headrace.examples import poker
from headrace.examples.poker import history, rules
from headrace.examples.poker import poker_pb2 as pb
from headrace.testing import TopologyDriver

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLD, CALL, BET = pb.Act.FOLD, pb.Act.CHECK_OR_CALL, pb.Act.BET_OR_RAISE_TO
ANN, BOB, CY = "ann", "bob", "cy"


class Room:
    """A room in memory, and what a test wants to know of it."""

    def __init__(self, topology: Topology = poker.room) -> None:
        self.topology = topology
        self.driver = TopologyDriver(topology, start=NOW)
        self.players: set[str] = set()
        self.tables: set[str] = set()
        self.deposits = 0

    def tell(self, root: str, command: Any, correlation_id: str | None = None) -> Any:
        reply = self.driver.execute(command, root, correlation_id=correlation_id)
        self.deposits += command.amount if isinstance(command, pb.DepositFunds) and reply.accepted else 0
        self.deposits -= command.amount if isinstance(command, pb.WithdrawFunds) and reply.accepted else 0
        return reply

    def welcome(self, player: str, funds: int) -> None:
        self.players.add(player)
        self.tell(player, pb.RegisterPlayer(name=player))
        self.tell(player, pb.DepositFunds(amount=funds))

    def open(self, table: str = "t", **limits: int) -> None:
        self.tables.add(table)
        assert self.tell(table, pb.OpenTable(**limits)).accepted

    def join(self, player: str, buy_in: int, table: str = "t") -> Any:
        return self.tell(table, pb.JoinTable(player=player, buy_in=buy_in))

    def start(self, *players: str, hand: str = "h", table: str = "t", **more: Any) -> Any:
        start = pb.StartHand(players=players, **{"blinds_or_straddles": [1, 2], "min_bet": 2, **more})
        return self.tell(table, pb.OpenHand(hand=hand, start=start), correlation_id=hand)

    def deal(self, *players: str, hand: str = "h") -> None:
        for player in players:
            self.tell(hand, pb.Deal(player=player, cards=["??", "??"]), correlation_id=hand)

    def act(self, player: str, action: pb.Act.Action, amount: int = 0, hand: str = "h") -> Any:
        return self.tell(hand, pb.Act(player=player, action=action, amount=amount), correlation_id=hand)

    def award(self, hand: str = "h") -> Any:
        return self.tell(hand, pb.Award(), correlation_id=hand)

    def recorded(self, hand: history.HandHistory) -> pb.HandState:
        """A recorded hand at a table of its own; players, who have the funds, join for it and leave afterwards."""
        start, *orders = history.commands(hand)
        assert isinstance(start, pb.StartHand)
        self.open(hand.root)
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            self.join(player, stack, hand.root)
        self.tell(hand.root, pb.OpenHand(hand=hand.root, start=start), correlation_id=hand.root)
        for order in orders:
            assert self.tell(hand.root, order, correlation_id=hand.root).accepted
        state = self.hand(hand.root)
        for seat in state.seats:
            assert self.stacks(hand.root)[seat.player] == seat.stack
            assert self.tell(hand.root, pb.LeaveTable(player=seat.player)).accepted
        return state

    def fund(self, hands: Sequence[history.HandHistory]) -> dict[str, int]:
        """Give players what they bring to all of these hands; returns that."""
        brought: dict[str, int] = defaultdict(int)
        for hand in hands:
            for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
                brought[player] += stack
        for player, stack in brought.items():
            self.welcome(player, min(stack, rules.MOST_CHIPS))
        return brought

    def table(self, table: str = "t") -> pb.TableState:
        state: pb.TableState = self.driver.state(table, "table")
        return state

    def hand(self, hand: str = "h") -> pb.HandState:
        state: pb.HandState = self.driver.state(hand, "hand")
        return state

    def player(self, player: str) -> pb.PlayerState:
        state: pb.PlayerState = self.driver.state(player, "player")
        return state

    def stacks(self, table: str = "t") -> dict[str, int]:
        return {player: seat.stack for player, seat in self.table(table).seats.items()}

    def check(self) -> None:
        """Every chip deposited is in a bankroll, reserved or in a stack, and just who sits has funds staked."""
        chips, seated = 0, set()
        for table in self.tables:
            chips += sum(self.stacks(table).values())
            seated |= {(player, table) for player in self.stacks(table)}
        staked = set()
        for player in self.players:
            state = self.player(player)
            chips += state.bankroll + sum(state.reserved.values())
            staked |= {(player, table) for table in state.staked}
        assert chips == self.deposits
        assert staked == seated
        for component in self.topology.components:
            assert self.driver.dead_letters(component) == []


class Wild:
    """Three who do what they like at one table, one hand after the other."""

    def __init__(self, room: Room) -> None:
        self.room, self.played = room, 0
        for player in (ANN, BOB, CY):
            room.welcome(player, 1000)
        room.open(max_bet=100)
        for player in (ANN, BOB, CY):
            room.join(player, 300)
        self.start(ANN, 0)

    @property
    def name(self) -> str:
        return f"h{self.played}"

    def start(self, player: str, amount: int) -> None:
        seated = sorted(self.room.stacks())
        fresh = f"h{self.played + 1}"
        if self.room.start(*seated, hand=fresh).accepted and self.room.driver.state(fresh, "hand"):
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


Deed = Callable[..., None]
DEEDS: list[Deed] = [Wild.play] * 12 + [Wild.start] * 3 + [Wild.join, Wild.leave, Wild.release, Wild.wait]

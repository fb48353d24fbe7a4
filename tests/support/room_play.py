"""The whole poker room in memory, as the tests of this folder need it."""

from datetime import UTC, datetime
from typing import Any

from headrace.examples import poker
from headrace.examples.poker import poker_pb2 as pb
from headrace.testing import TopologyDriver

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLD, CALL, BET = pb.Act.FOLD, pb.Act.CHECK_OR_CALL, pb.Act.BET_OR_RAISE_TO
ANN, BOB, CY = "ann", "bob", "cy"


class Room:
    """A room in memory, and what a test wants to know of it."""

    def __init__(self) -> None:
        self.driver = TopologyDriver(poker.room, start=NOW)
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
        for component in poker.room.components:
            assert self.driver.dead_letters(component) == []

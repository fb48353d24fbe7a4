from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterPlayer(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DepositFunds(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class WithdrawFunds(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class ReserveFunds(_message.Message):
    __slots__ = ("key", "amount", "for_table")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FOR_TABLE_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount: int
    for_table: bool
    def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ..., for_table: _Optional[bool] = ...) -> None: ...

class ReleaseFunds(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class SettleFunds(_message.Message):
    __slots__ = ("key", "amount")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount: int
    def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class DepositConfirmed(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class PlayerRegistered(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class FundsDeposited(_message.Message):
    __slots__ = ("amount", "new_balance")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_BALANCE_FIELD_NUMBER: _ClassVar[int]
    amount: int
    new_balance: int
    def __init__(self, amount: _Optional[int] = ..., new_balance: _Optional[int] = ...) -> None: ...

class FundsWithdrawn(_message.Message):
    __slots__ = ("amount", "new_balance")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_BALANCE_FIELD_NUMBER: _ClassVar[int]
    amount: int
    new_balance: int
    def __init__(self, amount: _Optional[int] = ..., new_balance: _Optional[int] = ...) -> None: ...

class FundsReserved(_message.Message):
    __slots__ = ("key", "amount", "new_balance", "for_table")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_BALANCE_FIELD_NUMBER: _ClassVar[int]
    FOR_TABLE_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount: int
    new_balance: int
    for_table: bool
    def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ..., new_balance: _Optional[int] = ..., for_table: _Optional[bool] = ...) -> None: ...

class FundsReleased(_message.Message):
    __slots__ = ("key", "amount", "new_balance")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_BALANCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount: int
    new_balance: int
    def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ..., new_balance: _Optional[int] = ...) -> None: ...

class FundsSettled(_message.Message):
    __slots__ = ("key", "amount", "reserved", "new_balance")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    NEW_BALANCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount: int
    reserved: int
    new_balance: int
    def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ..., reserved: _Optional[int] = ..., new_balance: _Optional[int] = ...) -> None: ...

class PlayerState(_message.Message):
    __slots__ = ("registered", "name", "bankroll", "reserved", "staked")
    class ReservedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class StakedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BANKROLL_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    STAKED_FIELD_NUMBER: _ClassVar[int]
    registered: bool
    name: str
    bankroll: int
    reserved: _containers.ScalarMap[str, int]
    staked: _containers.ScalarMap[str, int]
    def __init__(self, registered: _Optional[bool] = ..., name: _Optional[str] = ..., bankroll: _Optional[int] = ..., reserved: _Optional[_Mapping[str, int]] = ..., staked: _Optional[_Mapping[str, int]] = ...) -> None: ...

class OpenTable(_message.Message):
    __slots__ = ("min_buy_in", "max_buy_in", "max_bet")
    MIN_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BET_FIELD_NUMBER: _ClassVar[int]
    min_buy_in: int
    max_buy_in: int
    max_bet: int
    def __init__(self, min_buy_in: _Optional[int] = ..., max_buy_in: _Optional[int] = ..., max_bet: _Optional[int] = ...) -> None: ...

class JoinTable(_message.Message):
    __slots__ = ("player", "buy_in")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    BUY_IN_FIELD_NUMBER: _ClassVar[int]
    player: str
    buy_in: int
    def __init__(self, player: _Optional[str] = ..., buy_in: _Optional[int] = ...) -> None: ...

class SeatPlayer(_message.Message):
    __slots__ = ("player", "amount")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    player: str
    amount: int
    def __init__(self, player: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class OpenHand(_message.Message):
    __slots__ = ("hand", "start")
    HAND_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    hand: str
    start: StartHand
    def __init__(self, hand: _Optional[str] = ..., start: _Optional[_Union[StartHand, _Mapping]] = ...) -> None: ...

class TakeBet(_message.Message):
    __slots__ = ("hand", "player", "amount", "number")
    HAND_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    hand: str
    player: str
    amount: int
    number: int
    def __init__(self, hand: _Optional[str] = ..., player: _Optional[str] = ..., amount: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class SettleHand(_message.Message):
    __slots__ = ("hand", "players", "stacks")
    HAND_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    hand: str
    players: _containers.RepeatedScalarFieldContainer[str]
    stacks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, hand: _Optional[str] = ..., players: _Optional[_Iterable[str]] = ..., stacks: _Optional[_Iterable[int]] = ...) -> None: ...

class LeaveTable(_message.Message):
    __slots__ = ("player",)
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    player: str
    def __init__(self, player: _Optional[str] = ...) -> None: ...

class TableOpened(_message.Message):
    __slots__ = ("min_buy_in", "max_buy_in", "max_bet")
    MIN_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BET_FIELD_NUMBER: _ClassVar[int]
    min_buy_in: int
    max_buy_in: int
    max_bet: int
    def __init__(self, min_buy_in: _Optional[int] = ..., max_buy_in: _Optional[int] = ..., max_bet: _Optional[int] = ...) -> None: ...

class JoinRequested(_message.Message):
    __slots__ = ("player", "buy_in")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    BUY_IN_FIELD_NUMBER: _ClassVar[int]
    player: str
    buy_in: int
    def __init__(self, player: _Optional[str] = ..., buy_in: _Optional[int] = ...) -> None: ...

class JoinCancelled(_message.Message):
    __slots__ = ("player", "reason")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    player: str
    reason: str
    def __init__(self, player: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PlayerSeated(_message.Message):
    __slots__ = ("player", "stack")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    player: str
    stack: int
    def __init__(self, player: _Optional[str] = ..., stack: _Optional[int] = ...) -> None: ...

class HandOpened(_message.Message):
    __slots__ = ("hand", "start")
    HAND_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    hand: str
    start: StartHand
    def __init__(self, hand: _Optional[str] = ..., start: _Optional[_Union[StartHand, _Mapping]] = ...) -> None: ...

class HandCancelled(_message.Message):
    __slots__ = ("hand", "reason")
    HAND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    hand: str
    reason: str
    def __init__(self, hand: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class BetTaken(_message.Message):
    __slots__ = ("hand", "player", "amount", "number")
    HAND_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    hand: str
    player: str
    amount: int
    number: int
    def __init__(self, hand: _Optional[str] = ..., player: _Optional[str] = ..., amount: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class HandSettled(_message.Message):
    __slots__ = ("hand", "players", "stacks")
    HAND_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    hand: str
    players: _containers.RepeatedScalarFieldContainer[str]
    stacks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, hand: _Optional[str] = ..., players: _Optional[_Iterable[str]] = ..., stacks: _Optional[_Iterable[int]] = ...) -> None: ...

class PlayerLeft(_message.Message):
    __slots__ = ("player", "stack")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    player: str
    stack: int
    def __init__(self, player: _Optional[str] = ..., stack: _Optional[int] = ...) -> None: ...

class TableState(_message.Message):
    __slots__ = ("open", "min_buy_in", "max_buy_in", "max_bet", "joining", "seats")
    class Seat(_message.Message):
        __slots__ = ("stack", "hand", "bet")
        STACK_FIELD_NUMBER: _ClassVar[int]
        HAND_FIELD_NUMBER: _ClassVar[int]
        BET_FIELD_NUMBER: _ClassVar[int]
        stack: int
        hand: str
        bet: int
        def __init__(self, stack: _Optional[int] = ..., hand: _Optional[str] = ..., bet: _Optional[int] = ...) -> None: ...
    class JoiningEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SeatsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TableState.Seat
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TableState.Seat, _Mapping]] = ...) -> None: ...
    OPEN_FIELD_NUMBER: _ClassVar[int]
    MIN_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BUY_IN_FIELD_NUMBER: _ClassVar[int]
    MAX_BET_FIELD_NUMBER: _ClassVar[int]
    JOINING_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    open: bool
    min_buy_in: int
    max_buy_in: int
    max_bet: int
    joining: _containers.ScalarMap[str, int]
    seats: _containers.MessageMap[str, TableState.Seat]
    def __init__(self, open: _Optional[bool] = ..., min_buy_in: _Optional[int] = ..., max_buy_in: _Optional[int] = ..., max_bet: _Optional[int] = ..., joining: _Optional[_Mapping[str, int]] = ..., seats: _Optional[_Mapping[str, TableState.Seat]] = ...) -> None: ...

class StartHand(_message.Message):
    __slots__ = ("players", "starting_stacks", "antes", "blinds_or_straddles", "min_bet", "trim_antes", "units_per_chip", "table")
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    STARTING_STACKS_FIELD_NUMBER: _ClassVar[int]
    ANTES_FIELD_NUMBER: _ClassVar[int]
    BLINDS_OR_STRADDLES_FIELD_NUMBER: _ClassVar[int]
    MIN_BET_FIELD_NUMBER: _ClassVar[int]
    TRIM_ANTES_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_CHIP_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    players: _containers.RepeatedScalarFieldContainer[str]
    starting_stacks: _containers.RepeatedScalarFieldContainer[int]
    antes: _containers.RepeatedScalarFieldContainer[int]
    blinds_or_straddles: _containers.RepeatedScalarFieldContainer[int]
    min_bet: int
    trim_antes: bool
    units_per_chip: int
    table: str
    def __init__(self, players: _Optional[_Iterable[str]] = ..., starting_stacks: _Optional[_Iterable[int]] = ..., antes: _Optional[_Iterable[int]] = ..., blinds_or_straddles: _Optional[_Iterable[int]] = ..., min_bet: _Optional[int] = ..., trim_antes: _Optional[bool] = ..., units_per_chip: _Optional[int] = ..., table: _Optional[str] = ...) -> None: ...

class Deal(_message.Message):
    __slots__ = ("player", "cards")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    player: str
    cards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, player: _Optional[str] = ..., cards: _Optional[_Iterable[str]] = ...) -> None: ...

class Act(_message.Message):
    __slots__ = ("player", "action", "amount", "cards")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[Act.Action]
        FOLD: _ClassVar[Act.Action]
        CHECK_OR_CALL: _ClassVar[Act.Action]
        BET_OR_RAISE_TO: _ClassVar[Act.Action]
        SHOW: _ClassVar[Act.Action]
        MUCK: _ClassVar[Act.Action]
    ACTION_UNSPECIFIED: Act.Action
    FOLD: Act.Action
    CHECK_OR_CALL: Act.Action
    BET_OR_RAISE_TO: Act.Action
    SHOW: Act.Action
    MUCK: Act.Action
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    player: str
    action: Act.Action
    amount: int
    cards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, player: _Optional[str] = ..., action: _Optional[_Union[Act.Action, str]] = ..., amount: _Optional[int] = ..., cards: _Optional[_Iterable[str]] = ...) -> None: ...

class Award(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HandStarted(_message.Message):
    __slots__ = ("posts", "first_seat", "min_bet", "trim_antes", "units_per_chip", "table")
    class Post(_message.Message):
        __slots__ = ("player", "starting_stack", "ante", "blind")
        PLAYER_FIELD_NUMBER: _ClassVar[int]
        STARTING_STACK_FIELD_NUMBER: _ClassVar[int]
        ANTE_FIELD_NUMBER: _ClassVar[int]
        BLIND_FIELD_NUMBER: _ClassVar[int]
        player: str
        starting_stack: int
        ante: int
        blind: int
        def __init__(self, player: _Optional[str] = ..., starting_stack: _Optional[int] = ..., ante: _Optional[int] = ..., blind: _Optional[int] = ...) -> None: ...
    POSTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEAT_FIELD_NUMBER: _ClassVar[int]
    MIN_BET_FIELD_NUMBER: _ClassVar[int]
    TRIM_ANTES_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_CHIP_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    posts: _containers.RepeatedCompositeFieldContainer[HandStarted.Post]
    first_seat: int
    min_bet: int
    trim_antes: bool
    units_per_chip: int
    table: str
    def __init__(self, posts: _Optional[_Iterable[_Union[HandStarted.Post, _Mapping]]] = ..., first_seat: _Optional[int] = ..., min_bet: _Optional[int] = ..., trim_antes: _Optional[bool] = ..., units_per_chip: _Optional[int] = ..., table: _Optional[str] = ...) -> None: ...

class HoleCardsDealt(_message.Message):
    __slots__ = ("player", "seat", "cards")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    player: str
    seat: int
    cards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, player: _Optional[str] = ..., seat: _Optional[int] = ..., cards: _Optional[_Iterable[str]] = ...) -> None: ...

class BoardDealt(_message.Message):
    __slots__ = ("cards",)
    CARDS_FIELD_NUMBER: _ClassVar[int]
    cards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cards: _Optional[_Iterable[str]] = ...) -> None: ...

class ActionTaken(_message.Message):
    __slots__ = ("player", "seat", "kind", "added", "raised_by", "table", "number")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ActionTaken.Kind]
        FOLDED: _ClassVar[ActionTaken.Kind]
        CHECKED: _ClassVar[ActionTaken.Kind]
        CALLED: _ClassVar[ActionTaken.Kind]
        BET: _ClassVar[ActionTaken.Kind]
        RAISED: _ClassVar[ActionTaken.Kind]
    KIND_UNSPECIFIED: ActionTaken.Kind
    FOLDED: ActionTaken.Kind
    CHECKED: ActionTaken.Kind
    CALLED: ActionTaken.Kind
    BET: ActionTaken.Kind
    RAISED: ActionTaken.Kind
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    RAISED_BY_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    player: str
    seat: int
    kind: ActionTaken.Kind
    added: int
    raised_by: int
    table: str
    number: int
    def __init__(self, player: _Optional[str] = ..., seat: _Optional[int] = ..., kind: _Optional[_Union[ActionTaken.Kind, str]] = ..., added: _Optional[int] = ..., raised_by: _Optional[int] = ..., table: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class BetReverted(_message.Message):
    __slots__ = ("player", "amount", "number", "reason")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    player: str
    amount: int
    number: int
    reason: str
    def __init__(self, player: _Optional[str] = ..., amount: _Optional[int] = ..., number: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class BettingClosed(_message.Message):
    __slots__ = ("pot", "returned", "returned_to", "next")
    POT_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_TO_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    pot: int
    returned: int
    returned_to: int
    next: HandState.Phase
    def __init__(self, pot: _Optional[int] = ..., returned: _Optional[int] = ..., returned_to: _Optional[int] = ..., next: _Optional[_Union[HandState.Phase, str]] = ...) -> None: ...

class CardsShown(_message.Message):
    __slots__ = ("player", "seat", "cards")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    player: str
    seat: int
    cards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, player: _Optional[str] = ..., seat: _Optional[int] = ..., cards: _Optional[_Iterable[str]] = ...) -> None: ...

class CardsMucked(_message.Message):
    __slots__ = ("player", "seat")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    player: str
    seat: int
    def __init__(self, player: _Optional[str] = ..., seat: _Optional[int] = ...) -> None: ...

class HandAwarded(_message.Message):
    __slots__ = ("pots", "finishing_stacks", "table", "players")
    POTS_FIELD_NUMBER: _ClassVar[int]
    FINISHING_STACKS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    pots: _containers.RepeatedCompositeFieldContainer[Pot]
    finishing_stacks: _containers.RepeatedScalarFieldContainer[int]
    table: str
    players: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pots: _Optional[_Iterable[_Union[Pot, _Mapping]]] = ..., finishing_stacks: _Optional[_Iterable[int]] = ..., table: _Optional[str] = ..., players: _Optional[_Iterable[str]] = ...) -> None: ...

class Pot(_message.Message):
    __slots__ = ("amount", "contenders", "shares", "hand")
    class Share(_message.Message):
        __slots__ = ("player", "amount")
        PLAYER_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        player: str
        amount: int
        def __init__(self, player: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    HAND_FIELD_NUMBER: _ClassVar[int]
    amount: int
    contenders: _containers.RepeatedScalarFieldContainer[str]
    shares: _containers.RepeatedCompositeFieldContainer[Pot.Share]
    hand: str
    def __init__(self, amount: _Optional[int] = ..., contenders: _Optional[_Iterable[str]] = ..., shares: _Optional[_Iterable[_Union[Pot.Share, _Mapping]]] = ..., hand: _Optional[str] = ...) -> None: ...

class HandState(_message.Message):
    __slots__ = ("phase", "seats", "live", "board", "cards_due", "seen", "to_act", "first_seat", "highest_bet", "min_bet", "last_raise", "short_raises", "units_per_chip", "pots", "table", "actions", "before")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[HandState.Phase]
        HOLE_CARDS: _ClassVar[HandState.Phase]
        BETTING: _ClassVar[HandState.Phase]
        BOARD_CARDS: _ClassVar[HandState.Phase]
        RUNOUT: _ClassVar[HandState.Phase]
        SHOWDOWN: _ClassVar[HandState.Phase]
        UNCONTESTED: _ClassVar[HandState.Phase]
        AWARDED: _ClassVar[HandState.Phase]
    PHASE_UNSPECIFIED: HandState.Phase
    HOLE_CARDS: HandState.Phase
    BETTING: HandState.Phase
    BOARD_CARDS: HandState.Phase
    RUNOUT: HandState.Phase
    SHOWDOWN: HandState.Phase
    UNCONTESTED: HandState.Phase
    AWARDED: HandState.Phase
    class Seat(_message.Message):
        __slots__ = ("player", "stack", "bet", "put_in", "ante", "folded", "acted", "hole_cards", "shown")
        PLAYER_FIELD_NUMBER: _ClassVar[int]
        STACK_FIELD_NUMBER: _ClassVar[int]
        BET_FIELD_NUMBER: _ClassVar[int]
        PUT_IN_FIELD_NUMBER: _ClassVar[int]
        ANTE_FIELD_NUMBER: _ClassVar[int]
        FOLDED_FIELD_NUMBER: _ClassVar[int]
        ACTED_FIELD_NUMBER: _ClassVar[int]
        HOLE_CARDS_FIELD_NUMBER: _ClassVar[int]
        SHOWN_FIELD_NUMBER: _ClassVar[int]
        player: str
        stack: int
        bet: int
        put_in: int
        ante: int
        folded: bool
        acted: bool
        hole_cards: _containers.RepeatedScalarFieldContainer[str]
        shown: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, player: _Optional[str] = ..., stack: _Optional[int] = ..., bet: _Optional[int] = ..., put_in: _Optional[int] = ..., ante: _Optional[int] = ..., folded: _Optional[bool] = ..., acted: _Optional[bool] = ..., hole_cards: _Optional[_Iterable[str]] = ..., shown: _Optional[_Iterable[str]] = ...) -> None: ...
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    BOARD_FIELD_NUMBER: _ClassVar[int]
    CARDS_DUE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    TO_ACT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEAT_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_BET_FIELD_NUMBER: _ClassVar[int]
    MIN_BET_FIELD_NUMBER: _ClassVar[int]
    LAST_RAISE_FIELD_NUMBER: _ClassVar[int]
    SHORT_RAISES_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_CHIP_FIELD_NUMBER: _ClassVar[int]
    POTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    phase: HandState.Phase
    seats: _containers.RepeatedCompositeFieldContainer[HandState.Seat]
    live: int
    board: _containers.RepeatedScalarFieldContainer[str]
    cards_due: int
    seen: int
    to_act: _containers.RepeatedScalarFieldContainer[int]
    first_seat: int
    highest_bet: int
    min_bet: int
    last_raise: int
    short_raises: int
    units_per_chip: int
    pots: _containers.RepeatedCompositeFieldContainer[Pot]
    table: str
    actions: int
    before: bytes
    def __init__(self, phase: _Optional[_Union[HandState.Phase, str]] = ..., seats: _Optional[_Iterable[_Union[HandState.Seat, _Mapping]]] = ..., live: _Optional[int] = ..., board: _Optional[_Iterable[str]] = ..., cards_due: _Optional[int] = ..., seen: _Optional[int] = ..., to_act: _Optional[_Iterable[int]] = ..., first_seat: _Optional[int] = ..., highest_bet: _Optional[int] = ..., min_bet: _Optional[int] = ..., last_raise: _Optional[int] = ..., short_raises: _Optional[int] = ..., units_per_chip: _Optional[int] = ..., pots: _Optional[_Iterable[_Union[Pot, _Mapping]]] = ..., table: _Optional[str] = ..., actions: _Optional[int] = ..., before: _Optional[bytes] = ...) -> None: ...

class TurnOver(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CourseBegan(_message.Message):
    __slots__ = ("hand",)
    HAND_FIELD_NUMBER: _ClassVar[int]
    hand: str
    def __init__(self, hand: _Optional[str] = ...) -> None: ...

class TurnTimedOut(_message.Message):
    __slots__ = ("player", "action")
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    player: str
    action: Act.Action
    def __init__(self, player: _Optional[str] = ..., action: _Optional[_Union[Act.Action, str]] = ...) -> None: ...

class CourseEnded(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CourseState(_message.Message):
    __slots__ = ("hand", "timeouts", "over")
    HAND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    hand: str
    timeouts: int
    over: bool
    def __init__(self, hand: _Optional[str] = ..., timeouts: _Optional[int] = ..., over: _Optional[bool] = ...) -> None: ...

"""Hands written down in the Poker Hand History format, and the commands that play them again.

A `.phhs` file holds many hands, each a TOML table with a number; a `.phh` file holds one. Played here is
no-limit Texas hold'em, variant "NT"; anything else is refused with the hand's place in the file.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from headrace.examples.poker import cards, rules
from headrace.examples.poker import poker_pb2 as pb

Amount = int | Decimal
Command = pb.StartHand | pb.Deal | pb.Act | pb.Award
UNLIMITED = rules.MOST_CHIPS
"""Units that stand for a stack which the file gives as infinite, because nobody knows it."""
_FINEST = 4  # decimals of money that count; more come from dividing floats
_HEADER = re.compile(r"^\[\s*([^\[\]\s]+)\s*\][ \t]*(?:#.*)?$", re.MULTILINE)
_REQUIRED = ("antes", "blinds_or_straddles", "min_bet", "starting_stacks", "actions")


class HistoryError(ValueError):
    """What is wrong with a file or a hand in it; the text names both."""


@dataclass(frozen=True, slots=True)
class HandHistory:
    """One hand as a file tells it. Money is in units, of which `units_per_chip` make what the file calls 1."""

    source: str
    number: str
    players: tuple[str, ...]
    starting_stacks: tuple[int, ...]
    antes: tuple[int, ...]
    blinds_or_straddles: tuple[int, ...]
    min_bet: int
    trim_antes: bool
    actions: tuple[str, ...]
    units_per_chip: int
    finishing_stacks: tuple[Amount, ...] | None
    winnings: tuple[Amount, ...] | None
    """What each took from the pots, less the house's share, where the file says so."""
    tolerance: int
    """Units by which a stack may differ: 1 where the file divides odd chips, as play does not; else 0."""

    @property
    def root(self) -> str:
        """The id of the hand: the file's name without its ending, and the hand's number in it."""
        return f"{Path(self.source).stem}-{self.number}"

    def __str__(self) -> str:
        return f"{self.source}, hand {self.number}"


def read(path: Path | str) -> Iterator[HandHistory]:
    """The hands of a file, one by one, in its order. Raises HistoryError where it is none, or a hand is wrong."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HistoryError(f"{path.name}: is not UTF-8 text ({error})") from error
    return parse(text, path.name)


def parse(text: str, source: str) -> Iterator[HandHistory]:
    """The hands in a text; `source` names it in errors. A text without numbered tables is one hand, "1"."""
    parts = _HEADER.split(text)
    hands = list(zip(parts[1::2], parts[2::2], strict=True)) or [("1", text)]
    if len(parts) > 1 and re.sub(r"#.*", "", parts[0]).strip():
        raise HistoryError(f"{source}: text before the first hand belongs to none: {parts[0].strip()[:60]!r}")
    seen: set[str] = set()
    # One small TOML document a hand: hands come as they are needed, and an error is one hand's.
    for number, body in hands:
        where = f"{source}, hand {number}"
        if number in seen:
            raise HistoryError(f"{where}: there are two hands of this number")
        seen.add(number)
        try:
            fields = tomllib.loads(body, parse_float=Decimal)
        except (ValueError, InvalidOperation) as error:
            raise HistoryError(f"{where}: is not TOML: {error}") from error
        yield _hand(fields, source, number)


def _hand(fields: dict[str, Any], source: str, number: str) -> HandHistory:
    where = f"{source}, hand {number}"
    variant = fields.get("variant")
    if variant != "NT":
        raise HistoryError(f"{where}: variant {variant!r} is not played here, only 'NT', no-limit Texas hold'em")
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise HistoryError(f"{where}: lacks {', '.join(missing)}")
    stacks = _money(fields, "starting_stacks", where)
    antes = _money(fields, "antes", where)
    blinds = _money(fields, "blinds_or_straddles", where)
    (min_bet,) = _money({"min_bet": [fields["min_bet"]]}, "min_bet", where)
    finishing = _money(fields, "finishing_stacks", where) if "finishing_stacks" in fields else None
    winnings = _money(fields, "winnings", where) if "winnings" in fields else None
    actions = fields["actions"]
    if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
        raise HistoryError(f"{where}: actions is not a list of strings")
    players = _players(fields, len(stacks), where)
    for name, values in (("antes", antes), ("blinds_or_straddles", blinds)):
        if len(values) > len(players):
            raise HistoryError(f"{where}: {name} has {len(values)} entries for {len(players)} players")
    for name, results in (("finishing_stacks", finishing), ("winnings", winnings)):
        if results is not None and len(results) != len(players):
            raise HistoryError(f"{where}: {name} has {len(results)} entries for {len(players)} players")
    raises = [_raise(action) for action in actions if "." in action and "cbr" in action]
    played = max(map(_decimals, [*stacks, *antes, *blinds, min_bet, *raises]))
    told = max(map(_decimals, [*(finishing or ()), *(winnings or ())]), default=0)
    if played > _FINEST:
        raise HistoryError(f"{where}: amounts have {played} decimals; {_FINEST} at most can be played")
    units = 10 ** max(played, min(told, _FINEST))

    def whole(values: Sequence[Amount]) -> tuple[int, ...]:
        return tuple(min(int(value * units), UNLIMITED) if _is_finite(value) else UNLIMITED for value in values)

    return HandHistory(
        source=source,
        number=number,
        players=players,
        starting_stacks=whole(stacks),
        antes=whole(antes),
        blinds_or_straddles=whole(blinds),
        min_bet=int(min_bet * units),
        trim_antes=fields.get("ante_trimming_status", False) is True,
        actions=tuple(actions),
        units_per_chip=units,
        finishing_stacks=None if finishing is None else tuple(value * units for value in finishing),
        winnings=None if winnings is None else tuple(value * units for value in winnings),
        tolerance=int(told > played),
    )


def _money(fields: dict[str, Any], name: str, where: str) -> list[Amount]:
    values = fields[name]
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int | Decimal) for v in values):
        raise HistoryError(f"{where}: {name} is not a list of numbers: {values!r}")
    if not all(_is_amount(value, name) for value in values):
        raise HistoryError(f"{where}: {name} has a number that is no amount: {', '.join(map(str, values))}")
    return values


def _is_amount(value: Amount, name: str) -> bool:
    if _is_finite(value):
        return -rules.MOST_CHIPS <= value <= rules.MOST_CHIPS
    return name.endswith("stacks") and str(value) == "Infinity"


def _is_finite(amount: Amount) -> bool:
    return isinstance(amount, int) or amount.is_finite()


def _players(fields: dict[str, Any], count: int, where: str) -> tuple[str, ...]:
    names = fields.get("players", [""] * count)
    if not isinstance(names, list) or len(names) != count:
        raise HistoryError(f"{where}: players does not name the {count} players that have starting stacks")
    # Where a player has no name, or two have the same, all go by their positions.
    if "" in names or len(set(map(str, names))) < count:
        names = [f"p{i}" for i in range(1, count + 1)]
    return tuple(map(str, names))


def _decimals(amount: Amount) -> int:
    if isinstance(amount, int):
        return 0
    exponent = amount.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _raise(action: str) -> Amount:
    words = action.split()
    try:
        amount = Decimal(words[2].replace(",", "")) if words[1] == "cbr" else 0
    except (InvalidOperation, IndexError):
        return 0  # told when the action is turned into a command
    return amount if _is_finite(amount) else 0


def commands(hand: HandHistory) -> list[Command]:
    """What a table has to be told to play the hand again, Award last. HistoryError names an action that is none."""
    told: list[Command] = [
        pb.StartHand(
            players=hand.players,
            starting_stacks=hand.starting_stacks,
            antes=hand.antes,
            blinds_or_straddles=hand.blinds_or_straddles,
            min_bet=hand.min_bet,
            trim_antes=hand.trim_antes,
            units_per_chip=hand.units_per_chip,
        )
    ]
    due = dict.fromkeys(hand.players, rules.HOLE_CARDS)
    for number, action in enumerate(hand.actions, start=1):
        try:
            command = _command(hand, action.partition("#")[0].split())
        except ValueError as error:
            raise HistoryError(f"{hand}: action {number}, {action!r}: {error}") from error
        if command is None:
            continue
        if isinstance(command, pb.Deal) and command.player:
            due[command.player] -= len(command.cards)
        else:
            told += _unseen(due)
        told.append(command)
    return [*told, *_unseen(due), pb.Award()]


def _unseen(due: dict[str, int]) -> list[pb.Deal]:
    """Hole cards that the file does not mention, once something else follows."""
    deals = [pb.Deal(player=player, cards=[cards.UNKNOWN] * count) for player, count in due.items() if count > 0]
    due.clear()
    return deals


def _command(hand: HandHistory, words: list[str]) -> pb.Deal | pb.Act | None:
    match words:
        case []:
            return None  # a comment
        case ["d", "db", text]:
            return pb.Deal(cards=cards.split(text))
        case ["d", "dh", player, text]:
            return pb.Deal(player=_player(hand, player), cards=cards.split(text))
        case [player, "f"]:
            return pb.Act(player=_player(hand, player), action=pb.Act.FOLD)
        case [player, "cc"]:
            return pb.Act(player=_player(hand, player), action=pb.Act.CHECK_OR_CALL)
        case [player, "cbr", text]:
            amount = _units(hand, text)
            return pb.Act(player=_player(hand, player), action=pb.Act.BET_OR_RAISE_TO, amount=amount)
        case [player, "sm"]:
            return pb.Act(player=_player(hand, player), action=pb.Act.MUCK)
        case [player, "sm", "-"]:
            return pb.Act(player=_player(hand, player), action=pb.Act.SHOW)
        case [player, "sm", text]:
            return pb.Act(player=_player(hand, player), action=pb.Act.SHOW, cards=cards.split(text))
    raise ValueError("is no action of Texas hold'em; those are d dh, d db, f, cc, cbr and sm")


def _units(hand: HandHistory, text: str) -> int:
    try:
        amount = Decimal(text.replace(",", "")) * hand.units_per_chip
        if amount == int(amount) and 0 < amount <= rules.MOST_CHIPS:
            return int(amount)
    except ArithmeticError:
        pass
    raise ValueError(f"{text!r} is no amount of chips that can be bet")


def _player(hand: HandHistory, label: str) -> str:
    if label[:1] == "p" and label[1:].isdecimal() and 1 <= int(label[1:]) <= len(hand.players):
        return hand.players[int(label[1:]) - 1]
    raise ValueError(f"{label!r} is none of p1 to p{len(hand.players)}")


def differences(hand: HandHistory, state: pb.HandState) -> list[str]:
    """Where a hand that was played again ended otherwise than its file says; empty when it did not."""
    if state.phase != pb.HandState.AWARDED:
        return [f"{hand}: is not over: {rules.waits_for(state)}"]
    if hand.finishing_stacks is not None:
        return _compare(hand, "finished with", [seat.stack for seat in state.seats], hand.finishing_stacks)
    won = dict.fromkeys(hand.players, 0)
    for pot in state.pots:
        for share in pot.shares:
            won[share.player] += share.amount
    # Winnings can be compared only where the house took nothing.
    if hand.winnings is not None and _like(sum(won.values()), sum(hand.winnings), hand.tolerance):
        return _compare(hand, "won", list(won.values()), hand.winnings)
    return []


def _compare(hand: HandHistory, verb: str, found: Sequence[int], told: Sequence[Amount]) -> list[str]:
    units = Decimal(hand.units_per_chip)
    return [
        f"{hand}: {player} {verb} {amount / units:f}, the file says {wanted / units:f}"
        for player, amount, wanted in zip(hand.players, found, told, strict=True)
        if _is_finite(wanted) and not _like(amount, wanted, hand.tolerance)
    ]


def _like(found: int, told: Amount, tolerance: int) -> bool:
    return -tolerance <= found - told <= tolerance

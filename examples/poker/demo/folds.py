"""What each document of the poker room has to be, from the events alone: no projector is used here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from headrace.examples.poker import poker_pb2 as pb

_STREETS = ["preflop", "", "", "flop", "turn", "river"]
_KINDS = ["", "folded", "checked", "called", "bet", "raised"]
_MOVES: dict[type[Any], tuple[str, int]] = {
    pb.FundsDeposited: ("deposit", 1),
    pb.FundsWithdrawn: ("withdrawal", -1),
    pb.FundsReserved: ("reservation", -1),
    pb.FundsReleased: ("release", 1),
    pb.FundsSettled: ("cash-out", 1),
}
_MOST_MOVES = 20


class Told(NamedTuple):
    """An event of a root."""

    data: Any
    time: str
    """As its header has it."""


Document = dict[str, Any]
Log = Sequence[Told]
Logs = Mapping[str, Mapping[str, Log]]
"""The events of each root in order, by domain and root."""


def expected(logs: Logs) -> dict[str, dict[str, Document]]:
    """All documents by the name of their projector, and by id."""
    hands, tables = logs["hand"], logs["table"]
    past = {root: _hand(log) for root, log in hands.items()}
    at_table: dict[str, dict[str, Document]] = {}
    for root, hand in past.items():
        at_table.setdefault(hand["table"], {})[root] = hand
    boards = {table: _board(log, at_table.get(table, {})) for table, log in tables.items()}
    return {
        "player-cards": {root: _card(log) for root, log in logs["player"].items()},
        "hand-history": past,
        "hand-facts": {root: _fact(root, log, past[root]) for root, log in hands.items()},
        "leaderboard": {table: board for table, board in boards.items() if board["standings"]},
    }


def _card(log: Log) -> Document:
    name, balance = "", 0
    reserved: dict[str, int] = {}
    tables: dict[str, int] = {}
    movements = []
    for told in log:
        event = told.data
        if isinstance(event, pb.PlayerRegistered):
            name = event.name
            continue
        kind, sign = _MOVES[type(event)]
        key = getattr(event, "key", "")
        balance += sign * event.amount
        if isinstance(event, pb.FundsReserved):
            kind = "buy-in" if event.for_table else kind
            (tables if event.for_table else reserved)[key] = event.amount
        elif key:
            for held in (tables, reserved):
                held.pop(key, None)
        movements.append(
            {"at": _time(told), "kind": kind, "amount": sign * event.amount, "key": key, "balance": balance}
        )
    return {
        "name": name,
        "balance": balance,
        "reserved": reserved,
        "tables": tables,
        "movements": movements[-_MOST_MOVES:],
    }


def _hand(log: Log) -> Document:
    start, over = _first(log, pb.HandStarted), _first(log, pb.HandAwarded)
    board = [card for event in _all(log, pb.BoardDealt) for card in event.cards]
    shown: dict[str, list[str]] = {}
    for event in _all(log, pb.CardsShown):
        shown.pop(event.player, None)
        shown[event.player] = [card for card in event.cards if card != "??"]
    pots = list(over.data.pots) if over else []
    wins: dict[str, int] = {}
    for share in (share for pot in pots for share in pot.shares):
        wins[share.player] = wins.get(share.player, 0) + share.amount
    return {
        "table": start.data.table if start else "",
        "began": _time(start) if start else "",
        "ended": _time(over) if over else "",
        "players": [post.player for post in start.data.posts] if start else [],
        "board": board,
        "shown": [{"player": player, "cards": cards} for player, cards in shown.items()],
        "cards": sorted({card for cards in (board, *shown.values()) for card in cards} - {"??"}),
        "actions": _actions(log),
        "pot": sum(pot.amount for pot in pots),
        "wins": [{"player": player, "amount": amount} for player, amount in wins.items()],
        "won_with": pots[0].hand if pots else "",
    }


def _actions(log: Log) -> list[Document]:
    """Those that stand."""
    void = {event.number for event in _all(log, pb.BetReverted)}
    dealt, found = 0, []
    for event in (told.data for told in log):
        if isinstance(event, pb.BoardDealt):
            dealt += len(event.cards)
        elif isinstance(event, pb.ActionTaken) and event.number not in void:
            found.append(
                {
                    "player": event.player,
                    "street": _STREETS[dealt],
                    "kind": _KINDS[event.kind],
                    "added": event.added,
                    "number": event.number,
                }
            )
    return found


def _fact(root: str, log: Log, hand: Document) -> Document:
    start, kinds = _first(log, pb.HandStarted), [action["kind"] for action in hand["actions"]]
    decisions = _all(log, pb.ActionTaken, pb.BetReverted)
    stands = bool(decisions) and isinstance(decisions[-1], pb.ActionTaken)
    return {
        "hand": root,
        **{name: hand[name] for name in ("table", "began", "ended", "pot", "won_with")},
        "players": len(hand["players"]),
        "units_per_chip": start.data.units_per_chip if start else 0,
        "min_bet": start.data.min_bet if start else 0,
        "board": "".join(hand["board"]),
        "folds": kinds.count("folded"),
        "checks": kinds.count("checked"),
        "calls": kinds.count("called"),
        "bets": kinds.count("bet"),
        "raises": kinds.count("raised"),
        "put_in": sum(action["added"] for action in hand["actions"]),
        "last_action": kinds[-1] if stands else "",
        "shows": len(_all(log, pb.CardsShown)),
        "mucks": len(_all(log, pb.CardsMucked)),
        "winners": len(hand["wins"]),
    }


def _board(log: Log, hands: Mapping[str, Document]) -> Document:
    """`hands` are those of the table."""
    stacks: dict[str, int] = {}
    for event in (told.data for told in log):
        if isinstance(event, pb.PlayerSeated):
            stacks[event.player] = event.stack
        elif isinstance(event, pb.HandSettled):
            stacks.update(zip(event.players, event.stacks, strict=True))
        elif isinstance(event, pb.PlayerLeft):
            stacks[event.player] = 0
    over = {root: hand for root, hand in hands.items() if hand["ended"]}
    brought = _sums((event.player, event.stack) for event in _all(log, pb.PlayerSeated))
    taken = _sums((event.player, event.stack) for event in _all(log, pb.PlayerLeft))
    played = _sums((player, 1) for event in _all(log, pb.HandSettled) for player in event.players)
    wins = _sums((win["player"], 1) for hand in over.values() for win in hand["wins"])
    standings: list[Document] = [
        {
            "player": player,
            "result": stacks.get(player, 0) + taken.get(player, 0) - brought.get(player, 0),
            "stack": stacks.get(player, 0),
            "brought": brought.get(player, 0),
            "taken": taken.get(player, 0),
            "hands": played.get(player, 0),
            "wins": wins.get(player, 0),
        }
        for player in stacks.keys() | wins.keys()
    ]
    standings.sort(key=lambda one: (-one["result"], one["player"]))
    largest, root = max(((hand["pot"], root) for root, hand in over.items()), default=(0, ""))
    return {"standings": standings, "largest_pot": largest, "largest_pot_hand": root}


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, amount in pairs:
        found[name] = found.get(name, 0) + amount
    return found


def _all(log: Log, *kinds: type[Any]) -> list[Any]:
    return [told.data for told in log if isinstance(told.data, kinds)]


def _first(log: Log, kind: type[Any]) -> Told | None:
    return next((told for told in log if isinstance(told.data, kind)), None)


def _time(told: Told) -> str:
    return datetime.fromisoformat(told.time.replace("Z", "+00:00")).isoformat(timespec="milliseconds")


def unlike(found: Document | None, wanted: Document | None) -> str:
    """How a document differs from what it has to be, by its first such field; empty if it does not."""
    if found is None or wanted is None:
        return "" if found is wanted else "is missing" if found is None else "is there, and no event is of it"
    for field in {**wanted, **found}:
        if found.get(field) != wanted.get(field):
            return f"{field} is {found.get(field)!r}, and the log gives {wanted.get(field)!r}"
    return ""

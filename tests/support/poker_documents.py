"""The documents of the poker room: what is there, and what the log says, by folds of the tests' own."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from headrace import Event, Projector
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.projectors import HandFacts, Leaderboard, PastHands, PlayerCards
from headrace.testing import TopologyDriver

ALL: list[type[Projector[Any]]] = [PlayerCards, PastHands, HandFacts, Leaderboard]
CARD = re.compile(rb"(?<![0-9A-Za-z])[2-9TJQKA][cdhs](?![0-9A-Za-z])")
Documents = dict[str, dict[str, Any]]


def documents(driver: TopologyDriver, projector: type[Projector[Any]]) -> Documents:
    """The latest of each on the topic."""
    found: Documents = {}
    for record in driver.records(driver.topic(f"{projector.name}-v1", "documents")):
        found[(record.key or b"").decode()] = json.loads(record.value or b"")
    return found


def logs(driver: TopologyDriver, domain: str) -> dict[str, list[Event]]:
    """Events by root."""
    roots = {record.headers["ce_subject"].decode() for record in driver.records(driver.topic(domain, "events"))}
    return {root: driver.events(root, domain=domain) for root in roots}


def of(log: Iterable[Event], *kinds: type[Any]) -> list[Any]:
    return [event.data for event in log if isinstance(event.data, kinds)]


def expected_card(driver: TopologyDriver, player: str, log: list[Event]) -> dict[str, Any]:
    """By the aggregate's own fold, and its events."""
    state = driver.state(player, "player")
    movements = []
    for event in log:
        told = event.data
        if isinstance(told, pb.PlayerRegistered):
            continue
        key = getattr(told, "key", "")
        kind, sign = {
            pb.FundsDeposited: ("deposit", 1),
            pb.FundsWithdrawn: ("withdrawal", -1),
            pb.FundsReserved: ("buy-in" if getattr(told, "for_table", False) else "reservation", -1),
            pb.FundsReleased: ("release", 1),
            pb.FundsSettled: ("cash-out", 1),
        }[type(told)]
        amount, balance = sign * told.amount, told.new_balance  # type: ignore[union-attr]
        movements.append({"at": at(event), "kind": kind, "amount": amount, "key": key, "balance": balance})
    return {
        "name": state.name,
        "balance": state.bankroll,
        "reserved": dict(state.reserved),
        "tables": dict(state.staked),
        "movements": movements[-20:],
    }


def at(event: Event) -> str:
    return event.time.replace("Z", "+00:00")


def taken(log: list[Event]) -> list[tuple[pb.ActionTaken, str]]:
    """Actions that stand, each with its street."""
    board, found = 0, []
    void = {event.number for event in of(log, pb.BetReverted)}
    for told in of(log, pb.ActionTaken, pb.BoardDealt):
        if isinstance(told, pb.BoardDealt):
            board += len(told.cards)
        elif not void or told.number not in void:
            found.append((told, ["preflop", "", "", "flop", "turn", "river"][board]))
    return found


def won(state: pb.HandState) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for pot in state.pots:
        for share in pot.shares:
            total[share.player] += share.amount
    return dict(total)


def expected_hand(driver: TopologyDriver, hand: str, log: list[Event]) -> dict[str, Any]:
    state: pb.HandState = driver.state(hand, "hand")
    shown: dict[str, list[str]] = {}
    for event in of(log, pb.CardsShown):
        shown.pop(event.player, None)
        shown[event.player] = [card for card in event.cards if card != "??"]
    over = [event for event in log if isinstance(event.data, pb.HandAwarded)]
    return {
        "table": state.table,
        "began": at(log[0]),
        "ended": at(over[0]) if over else "",
        "players": [seat.player for seat in state.seats],
        "board": list(state.board),
        "shown": [{"player": player, "cards": cards} for player, cards in shown.items()],
        "cards": sorted({card for cards in shown.values() for card in cards} | set(state.board)),
        "actions": [
            {
                "player": action.player,
                "street": street,
                "kind": ["", "folded", "checked", "called", "bet", "raised"][action.kind],
                "added": action.added,
                "number": action.number,
            }
            for action, street in taken(log)
        ],
        "pot": sum(pot.amount for pot in state.pots),
        "wins": [{"player": player, "amount": amount} for player, amount in won(state).items()],
        "won_with": state.pots[0].hand if state.pots else "",
    }


def expected_fact(driver: TopologyDriver, hand: str, log: list[Event]) -> dict[str, Any]:
    whole = expected_hand(driver, hand, log)
    kinds = [action["kind"] for action in whole["actions"]]
    last = of(log, pb.ActionTaken, pb.BetReverted)[-1:]
    void = not last or isinstance(last[0], pb.BetReverted)
    return {
        **{name: whole[name] for name in ("table", "began", "ended", "pot", "won_with")},
        "hand": hand,
        "players": len(whole["players"]),
        "units_per_chip": driver.state(hand, "hand").units_per_chip,
        "min_bet": of(log, pb.HandStarted)[0].min_bet,
        "board": "".join(whole["board"]),
        "folds": kinds.count("folded"),
        "checks": kinds.count("checked"),
        "calls": kinds.count("called"),
        "bets": kinds.count("bet"),
        "raises": kinds.count("raised"),
        "put_in": sum(action["added"] for action in whole["actions"]),
        "last_action": "" if void else kinds[-1],
        "shows": len(of(log, pb.CardsShown)),
        "mucks": len(of(log, pb.CardsMucked)),
        "winners": len(whole["wins"]),
    }


def expected_boards(driver: TopologyDriver) -> Documents:
    hands = {hand: driver.state(hand, "hand") for hand in logs(driver, "hand")}
    found: Documents = {}
    for table, log in logs(driver, "table").items():
        own = {hand: state for hand, state in hands.items() if state.table == table and state.phase == state.AWARDED}
        seats = driver.state(table, "table").seats
        standings = []
        for player in {event.player for event in of(log, pb.PlayerSeated)}:
            brought = sum(event.stack for event in of(log, pb.PlayerSeated) if event.player == player)
            away = sum(event.stack for event in of(log, pb.PlayerLeft) if event.player == player)
            stack = seats[player].stack if player in seats else 0
            standings.append(
                {
                    "player": player,
                    "result": stack + away - brought,
                    "stack": stack,
                    "brought": brought,
                    "taken": away,
                    "hands": sum(player in event.players for event in of(log, pb.HandSettled)),
                    "wins": sum(player in won(state) for state in own.values()),
                }
            )
        pots = [(sum(pot.amount for pot in state.pots), hand) for hand, state in own.items()]
        largest, hand = max(pots, default=(0, ""))
        if standings:
            standings.sort(key=lambda one: (-one["result"], one["player"]))
            found[table] = {"standings": standings, "largest_pot": largest, "largest_pot_hand": hand}
    return found


def check(driver: TopologyDriver) -> None:
    """Every document is what the log says, and there is no other."""
    folds: list[tuple[type[Projector[Any]], str, Callable[..., dict[str, Any]]]] = [
        (PlayerCards, "player", expected_card),
        (PastHands, "hand", expected_hand),
        (HandFacts, "hand", expected_fact),
    ]
    for projector, domain, fold in folds:
        wanted = {root: fold(driver, root, log) for root, log in logs(driver, domain).items()}
        assert documents(driver, projector) == wanted
    assert documents(driver, Leaderboard) == expected_boards(driver)


def nothing_secret(driver: TopologyDriver) -> None:
    """No version of any document, at any moment, has a card that was not open by the end."""
    open_cards: dict[bytes, set[bytes]] = defaultdict(set)
    for hand, log in logs(driver, "hand").items():
        for event in of(log, pb.BoardDealt, pb.CardsShown):
            open_cards[hand.encode()] |= {card.encode() for card in event.cards}
    for projector in ALL:
        for record in driver.records(driver.topic(f"{projector.name}-v1", "documents")):
            text = (record.value or b"").replace(b'"board":"', b'"board":" ')
            text = re.sub(rb"(?<=[cdhs])(?=([2-9TJQKA][cdhs])+\")", b" ", text)  # a board in one text
            assert set(CARD.findall(text)) <= open_cards[record.key or b""]

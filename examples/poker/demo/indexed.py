"""What a search server has of the poker room, and what it answers."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.connectors.connect.references import resolved
from headrace.connectors.connect.rendering import Index
from headrace.examples.poker.demo.folds import Document

_PAGE = 1000
_TIMEOUT = 60.0  # seconds


def documents(index: Index) -> dict[str, Document]:
    """All of an index, by id."""
    _ask(index, "POST", f"{index.name}/_refresh")
    return {hit["_id"]: hit["_source"] for hit in _hits(index, {"match_all": {}}, source=True)}


def wrong_answers(index: Index, hands: Mapping[str, Document]) -> list[str]:
    """Ask for hands by player, by card and by pot; a line for each answer that is not what `hands` gives.

    The one that is asked by is the hand with the largest pot.
    """
    if not hands:
        return []
    one = max(hands.values(), key=lambda hand: (hand["pot"], len(hand["cards"])))
    player, pot = one["players"][0], one["pot"]
    asked = [
        (f"hands of {player}", {"term": {"players": player}}, {n for n, h in hands.items() if player in h["players"]}),
        (f"pots from {pot}", {"range": {"pot": {"gte": pot}}}, {n for n, h in hands.items() if h["pot"] >= pot}),
    ]
    for card in one["cards"][:1]:
        wanted = {name for name, hand in hands.items() if card in hand["cards"]}
        asked.append((f"hands with {card}", {"term": {"cards": card}}, wanted))
    wrong = []
    for what, query, wanted in asked:
        if (found := {hit["_id"] for hit in _hits(index, query, source=False)}) != wanted:
            wrong.append(f"search: {what}: {len(found)} are found, {len(wanted)} are on the log")
    return wrong


def _hits(index: Index, query: dict[str, Any], *, source: bool) -> Iterator[dict[str, Any]]:
    body: dict[str, Any] = {"size": _PAGE, "query": query, "_source": source}
    page = _ask(index, "POST", f"{index.name}/_search?scroll=1m", body)
    while page["hits"]["hits"]:
        yield from page["hits"]["hits"]
        page = _ask(index, "POST", "_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
    _ask(index, "DELETE", "_search/scroll", {"scroll_id": page["_scroll_id"]})


def _ask(index: Index, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(f"{resolved(index.url).rstrip('/')}/{path}", method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        return json.load(answer)

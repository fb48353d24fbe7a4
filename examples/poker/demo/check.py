"""Reads the whole log back and compares it with the file, and every chip with where it came from.

Nothing of the engine is used here: a plain read_committed reader, and books that are kept from events alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from headrace.examples.poker import room
from headrace.examples.poker.demo.accounts import BOOKS, AccountBook, Book, CourseBook, HandBook, TableBook
from headrace.examples.poker.demo.play import Played
from headrace.examples.poker.demo.watch import TABLE
from headrace.examples.poker.history import HandHistory
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read

Books = dict[str, dict[str, Any]]
"""By domain and root."""


@dataclass(slots=True)
class Checked:
    """What the log holds, and how it compares. Money is in units."""

    events: int = 0
    """In all, of players, tables, hands and the processes that follow these."""
    mismatched: dict[str, list[str]] = field(default_factory=dict)
    """What does not fit, by root: a hand that ended otherwise than the file says, events out of order, lost chips."""
    story: list[Any] = field(default_factory=list)
    """The events of one hand."""
    chips_in: int = 0
    """What players have brought."""
    chips_out: int = 0
    """What they have in the end."""
    sagas: int = 0
    """Commands that sagas and process managers sent."""
    compensations: int = 0
    """Events that put right what a refused one of these had left."""
    facts: int = 0
    timeouts: int = 0
    """Turns that a hand's process took for a player who did not act."""


def check(
    settings: Settings, hands: Sequence[HandHistory], played: Played, follow: str, *, hung: bool = False
) -> Checked:
    """Hold the log against the file, and against what the answers told; keeps the events of the hand `follow`.

    `hung`: a worker had to go on without some offsets, so that sagas may have sent commands again, under their ids.
    """
    found = Checked()
    books = {domain: _books(settings, domain, follow, found.story) for domain in BOOKS}
    mistakes: dict[str, list[str]] = defaultdict(list)
    for hand in hands:
        why = hand_mistakes(hand, books)
        mistakes[hand.root] = why + played.refusals.get(hand.root, []) if why else []
    for player, why in _account_mistakes(hands, books).items():
        mistakes[player] += why + played.refusals.get(player, [])
    for root, text in [*answer_mistakes(books, played), *_dead_letters(settings)]:
        mistakes[root].append(text)
    for domain, text in _sent_twice(settings, found):
        if not hung:
            mistakes[domain].append(text)
    for root, book in (item for roots in books.values() for item in roots.items()):
        mistakes[root] += book.wrong
        found.events += book.events
        found.facts += len(book.facts)
        found.compensations += sum(n for cause, n in book.caused.items() if "rejection/" in cause)
    if found.compensations != played.guests:
        mistakes["table"].append(f"{found.compensations} compensations for {played.guests} guests without money")
    found.chips_in = sum(book.deposited for book in books["player"].values())
    found.chips_out = sum(book.bankroll for book in books["player"].values())
    found.timeouts = sum(book.timeouts for book in books["course"].values())
    found.mismatched = {root: list(dict.fromkeys(why)) for root, why in mistakes.items() if why}
    return found


def chips(units: int, hands: Sequence[HandHistory]) -> int | float:
    """An amount as the file has it."""
    amount = Decimal(units) / max((hand.units_per_chip for hand in hands), default=1)
    return int(amount) if amount == int(amount) else float(amount)


def _records(settings: Settings, domain: str, kind: str) -> Iterator[tuple[bytes, bytes, dict[str, Any]]]:
    for message in read(settings, settings.names.topic(settings.edition, domain, kind)):
        yield message.key() or b"", message.value() or b"", dict(message.headers() or ())


def _books(settings: Settings, domain: str, follow: str, story: list[Any]) -> dict[str, Any]:
    found: dict[str, Book] = {}
    for key, value, headers in _records(settings, domain, "events"):
        root = key.decode().rpartition("|")[0]
        if (book := found.get(root)) is None:
            book = found[root] = BOOKS[domain]()
        event = book.take(root, key, value, headers)
        if domain == "hand" and root == follow:
            story.append(event)
    return found


def hand_mistakes(hand: HandHistory, books: Books) -> list[str]:
    """A hand must have ended as the file says, and its table and its process with it."""
    book: HandBook = books["hand"].setdefault(hand.root, HandBook())
    why = book.mistakes(hand)
    table: TableBook = books["table"].setdefault(TABLE + hand.root, TableBook())
    table.finish(book)
    table.expect("buy-ins", table.bought_in, dict(zip(hand.players, hand.starting_stacks, strict=True)))
    course: CourseBook = books["course"].setdefault(hand.root, CourseBook())
    course.expect("how often the hand's process has ended", course.ended, 1)
    return why + course.wrong


def _account_mistakes(hands: Sequence[HandHistory], books: Books) -> dict[str, list[str]]:
    """Each player must have what he brought, less his stacks before the hands, and with those that the file gives."""
    won: Counter[str] = Counter()
    tolerance: Counter[str] = Counter()
    for hand in hands:
        ended = books["hand"][hand.root].awarded or hand.starting_stacks
        told = hand.finishing_stacks or ended
        for player, before, after, instead in zip(hand.players, hand.starting_stacks, told, ended, strict=True):
            known = isinstance(after, int) or after.is_finite()
            won[player] += (after if known else instead) - before
            tolerance[player] += hand.tolerance
    found: dict[str, list[str]] = {}
    for player in won.keys() | books["player"].keys():
        book: AccountBook = books["player"].setdefault(player, AccountBook())
        if book.staked:
            book.wrong.append(f"chips are still at {', '.join(sorted(book.staked))}")
        wanted = book.deposited + won[player]
        if abs(book.bankroll - wanted) > tolerance[player]:
            book.wrong.append(
                f"{player} has {book.bankroll}, and brought {book.deposited}; the file's hands give {won[player]}"
            )
        found[player] = book.wrong
    return found


def answer_mistakes(books: Books, played: Played) -> Iterator[tuple[str, str]]:
    """Each command led to just the events that its answer told of, each fact is there, and nothing else happened."""
    for (domain, root, command_id), told in played.events.items():
        book = books[domain].get(root)
        there = book.caused[command_id] if book else 0
        if there != told:
            yield root, f"the log holds {there} event(s) of {command_id}, the answer told of {told}"
    for player, payment in played.facts:
        if payment not in books["player"].setdefault(player, AccountBook()).facts:
            yield player, f"payment {payment} was confirmed and is not on the log"
    for domain, roots in books.items():
        for root, book in roots.items():
            stated = {payment: cause for payment, cause in book.facts.items() if (root, payment) in played.facts}
            for cause in book.caused.keys() - set(stated.values()):
                if not _derived(cause) and (domain, root, cause) not in played.events:
                    yield root, f"{book.caused[cause]} event(s) are of {cause}, which nobody sent"


def _derived(cause: str) -> bool:
    """Whether an id is one that the engine makes: of an event, of a command that one led to, of a refusal."""
    return cause.startswith("/") or "rejection/" in cause


def _sent_twice(settings: Settings, found: Checked) -> Iterator[tuple[str, str]]:
    """Counts what sagas sent, each command once; those that were sent again."""
    for domain in room.aggregates:
        sent = Counter(
            headers["ce_id"].decode()
            for _, _, headers in _records(settings, domain, "inbox")
            if b">" in headers.get("ce_path", b"") and headers["ce_type"] != b"headrace.v1.Rejection"
        )
        found.sagas += len(sent)
        yield from ((domain, f"{command} was sent {times} times") for command, times in sent.items() if times > 1)


def _dead_letters(settings: Settings) -> Iterator[tuple[str, str]]:
    for component in room.components:
        for key, _, headers in _records(settings, component, "dead-letters"):
            yield key.decode(errors="replace"), f"{component} could not handle {headers.get('ce_id')!r}: a dead letter"

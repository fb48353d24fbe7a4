"""An independent reader of the poker room, for a run of many rounds: it reads on from where it was.

Each round's hands are over when it reads. So it can hold all that they wrote against the file and against what callers
were told, and then forget it, but for what must never come again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from headrace.examples.poker import poker_pb2 as poker
from headrace.examples.poker.demo.accounts import BOOKS, AccountBook, Book
from headrace.examples.poker.demo.check import Books, answer_mistakes, hand_mistakes
from headrace.examples.poker.demo.play import Played
from headrace.examples.poker.demo.watch import TABLE
from headrace.examples.poker.history import HandHistory
from headrace.schemas import headrace_v1_pb2 as wire
from headrace.streams.settings import Settings
from tests.support.chaos_room import room
from tests.support.independent_reader import Entry, murmur, read_topics

_REJECTION, _REPLY, _QUERY = b"headrace.v1.Rejection", b"headrace.v1.Reply", b"headrace.v1.Query"
_SHOWN = 12
Answers = dict[tuple[str, str, str], bytes]
"""By domain, root and command id: the result that was kept."""


class RoomReader:
    """What lies on the topics of the room, as committed, and what it means."""

    def __init__(self, settings: Settings) -> None:
        self.records = 0
        """All that were read so far."""
        self._settings, names = settings, settings.names
        self._topics = {
            names.topic("main", component, kind): (component, kind)
            for component, spec in room.components.items()
            for kind in spec.topics
        }
        self._next: dict[tuple[str, int], int] = {}
        self._books: Books = {domain: {} for domain in BOOKS}
        self._over: set[str] = set()
        """Hands and tables of rounds before: nothing may be written of them."""
        self._decided: set[int] = set()
        """Commands that were decided in some round, as hashes: they may come again, and be answered again."""
        self._answered: set[str] = set()
        """Ids of commands that got a first answer, of roots that go on."""
        self._wrong: dict[str, list[str]] = defaultdict(list)
        self._caused: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        """By domain, root and cause: the sequences of this round's events."""

    def check(self, played: Played, *, may_send_again: bool) -> None:
        """Read what is new, and hold everything against everything; AssertionError says what is wrong.

        `may_send_again`: whether a worker had to go on without some offsets, and said so (docs/adr/0020).
        """
        found = self._read()
        self._wrong.clear()
        self._caused.clear()
        for domain in BOOKS:
            self._take_events(domain, found[domain, "events"])
        answers = self._take_answers(found)
        self._check_answers(answers)
        self._check_inputs(found)
        self._check_replies(found["headrace", "replies"])
        self._check_states(found)
        self._check_sent(found, may_send_again)
        self._check_books(played)
        for (component, kind), entries in found.items():
            for entry in entries if kind == "dead-letters" else ():
                dead = wire.DeadLetter.FromString(entry.value or b"")
                self._wrong[component].append(f"a dead letter for {entry.key!r}: {dead.error_class} {dead.error}")
        wrong = {root: list(dict.fromkeys(why)) for root, why in self._wrong.items() if why}
        text = "\n".join(f"{root}: {'; '.join(why[:3])}" for root, why in islice(wrong.items(), _SHOWN))
        assert not wrong, f"{len(wrong)} roots are wrong:\n{text}"
        self._forget(played.hands)

    def _read(self) -> dict[tuple[str, str], list[Entry]]:
        replies = self._settings.names.replies
        found = read_topics(self._settings.bootstrap, [*self._topics, replies], begin=self._next)
        for topic, entries in found.items():
            self._next |= {(topic, entry.partition): entry.offset + 1 for entry in entries}
            self.records += len(entries)
        return {(self._topics | {replies: ("headrace", "replies")})[topic]: entries for topic, entries in found.items()}

    # ---- events

    def _take_events(self, domain: str, entries: Iterable[Entry]) -> None:
        """Sequences go on without a gap, in the root's partition; each cause and each fact led to events once."""
        books = self._books[domain]
        for entry in entries:
            assert entry.key is not None
            assert entry.value is not None
            root = entry.key.decode().rpartition("|")[0]
            self._check_place(root, entry)
            if root in self._over:
                self._wrong[root].append(f"{entry.headers['ce_type']!r} was written when the {domain} was long over")
            book: Book = books.setdefault(root, BOOKS[domain]())
            self._caused[domain, root, entry.headers["ce_causationid"].decode()].append(book.events)
            book.take(root, entry.key, entry.value, dict(entry.headers))

    def _check_place(self, root: str, entry: Entry) -> None:
        where = murmur(root.encode(), self._settings.partitions)
        if entry.partition != where:
            self._wrong[root].append(f"it lies in partition {entry.partition}, not {where}")

    # ---- commands and answers

    def _take_answers(self, found: dict[tuple[str, str], list[Entry]]) -> Answers:
        """What was decided in this round; nothing twice, and nothing that was decided before."""
        answers: Answers = {}
        for (domain, kind), entries in found.items():
            kept = (e for e in entries if (e.key or b"").startswith(b"\0answers|")) if kind == "snapshots" else ()
            for entry in kept:
                results = wire.CommandResults.FromString(entry.value or b"")
                for key, value in zip(results.keys, results.values, strict=True):
                    root, _, command_id = key.decode().partition("\0")
                    name = domain, root, command_id  # a NUL before the id: it came by the inbox
                    if hash(name) in self._decided:
                        self._wrong[root].append(f"command {command_id!r} was decided twice")
                    self._decided.add(hash(name))
                    self._check_place(root, entry)
                    answers[name] = value
        return answers

    def _check_answers(self, answers: Answers) -> None:
        """An accepted command stands where its events are, a refused one has none."""
        for (domain, root, command_id), value in answers.items():
            if domain not in room.aggregates:  # a process manager keeps no more than that it has reacted
                continue
            there = self._caused.get((domain, root, command_id.removeprefix("\0")), [])
            told: list[int] = []
            if value[:1] == b"A":  # then eight bytes of a hash
                first, count = int.from_bytes(value[9:17], "big"), int.from_bytes(value[17:21], "big")
                told = list(range(first, first + count))
            if there != told:
                self._wrong[root].append(f"{command_id!r} was answered with the events {told}, the log has {there}")

    def _check_inputs(self, found: dict[tuple[str, str], list[Entry]]) -> None:
        """Nothing has disappeared: each command that lies on a topic was decided."""
        for domain in room.aggregates:
            for kind, mark in (("commands", ""), ("inbox", "\0")):
                for entry in found[domain, kind]:
                    root, command_id = (entry.key or b"").decode(), entry.headers["ce_id"].decode()
                    known = hash((domain, root, mark + command_id)) in self._decided
                    if not known and entry.headers["ce_type"] not in (_REJECTION, _QUERY):
                        self._wrong[root].append(f"{entry.headers['ce_type']!r} {command_id} has disappeared")

    def _check_replies(self, entries: Iterable[Entry]) -> None:
        """Each command has one first answer, and all others are the same."""
        replies: dict[str, list[wire.Reply]] = defaultdict(list)
        for entry in entries:
            if entry.headers["ce_type"] == _REPLY:
                reply = wire.Reply.FromString(entry.value or b"")
                replies[reply.command_id].append(reply)
        for command_id, told in replies.items():
            first = sum(not reply.already_processed for reply in told) + (command_id in self._answered)
            if first > 1:
                self._wrong[told[0].root].append(f"{command_id} got {first} first answers")
            if len({(r.status, r.root, r.sequence, r.reason, r.code) for r in told}) > 1:
                self._wrong[told[0].root].append(f"{command_id} got different answers: {told}")
            self._answered.add(command_id)

    # ---- states

    def _check_states(self, found: dict[tuple[str, str], list[Entry]]) -> None:
        """The last snapshot is of the last event, and holds the money that the events give."""
        for domain, books in self._books.items():
            last: dict[str, wire.Snapshot] = {}
            for entry in found[domain, "snapshots"]:
                if entry.key is None or entry.key[:1] == b"\0":
                    continue
                root, snapshot = entry.key.decode(), wire.Snapshot.FromString(entry.value or b"")
                if root in last and snapshot.sequence <= last[root].sequence:
                    self._wrong[root].append(f"a snapshot of {snapshot.sequence} after a later one")
                self._check_place(root, entry)
                last[root] = snapshot
            for root in {root for name, root, _ in self._caused if name == domain}:
                book = books[root]
                if root not in last or last[root].sequence != book.events - 1:
                    self._wrong[root].append(f"no snapshot of its last event {book.events - 1}")
                elif isinstance(book, AccountBook):
                    state = poker.PlayerState.FromString(last[root].state)
                    if (state.bankroll, dict(state.staked)) != (book.bankroll, book.staked):
                        self._wrong[root].append(f"its events give {book.bankroll}, its state is {state}")

    # ---- what hands say as a whole

    def _check_sent(self, found: dict[tuple[str, str], list[Entry]], may_send_again: bool) -> None:
        """Sagas sent each command once."""
        for domain in room.aggregates if not may_send_again else ():
            sent = Counter(
                entry.headers["ce_id"]
                for entry in found[domain, "inbox"]
                if b">" in entry.headers.get("ce_path", b"") and entry.headers["ce_type"] != _REJECTION
            )
            self._wrong[domain] += [f"{command!r} was sent {n} times" for command, n in sent.items() if n > 1]

    def _check_books(self, played: Played) -> None:
        """Hands ended as the file says, no chip is missing, and what happened is what callers were told."""
        books = self._books
        for hand in played.hands:
            self._wrong[hand.root] += hand_mistakes(hand, books) + played.refusals.get(hand.root, [])
            self._wrong[hand.root] += self._stakes(hand)
        for root, why in answer_mistakes(books, played):
            self._wrong[root].append(why)
        rejections = 0
        for roots in books.values():
            for root, book in roots.items():
                self._wrong[root] += book.wrong
                rejections += sum(n for cause, n in book.caused.items() if "rejection/" in cause)
        players: Sequence[AccountBook] = list(books["player"].values())
        if rejections != played.guests:
            self._wrong["table"].append(f"{rejections} compensations for {played.guests} guests without money")
        if played.rejected:
            self._wrong["callers"].append(f"{played.rejected} commands were refused")
        if sum(book.deposited for book in players) != sum(book.bankroll for book in players):
            self._wrong["player"].append("chips are missing, or too many")
        asleep = sum("-asleep-" in hand.root for hand in played.hands)
        timeouts = sum(book.timeouts for book in books["course"].values())
        if asleep != timeouts:
            self._wrong["course"].append(f"{timeouts} time-outs for {asleep} players who were asleep")

    def _stakes(self, hand: HandHistory) -> Iterator[str]:
        """What went from accounts to a table and came back."""
        table = TABLE + hand.root
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            book: AccountBook = self._books["player"].setdefault(player, AccountBook())
            back = self._books["table"][table].paid_out.get(player)
            if (book.reserved.get(table), book.settled.get(table)) != (stack, back):
                yield f"{player} took {book.reserved.get(table)} to it and got {book.settled.get(table)} back"
            if table in book.staked:
                yield f"chips of {player} are still there"

    def _forget(self, hands: Sequence[HandHistory]) -> None:
        """Keep the accounts, whose causes are remembered as decided; of the rest, that it is over."""
        names: list[str] = [hand.root for hand in hands]
        self._over.update(names, (TABLE + name for name in names))
        for domain, roots in self._books.items():
            if domain != "player":
                roots.clear()
        for book in self._books["player"].values():
            book.caused.clear()
        kept: Any = self._books["player"].keys()
        self._answered = {one for one in self._answered if one.rpartition("/")[0] in kept}

"""A projector and its feed at work: several documents of one event, names that are none, and what waits for what."""

from dataclasses import dataclass
from typing import Any

import pytest

from headrace import DELETED, Deleted, ProjectionContext, Projector, Topology, projects
from headrace.schemas.headers import ATTEMPTS, ID, SUBJECT
from headrace.schemas.record import RecordError
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import Accounts
from tests.support.projector_fixture import FedProjector, StepUnderTest, event, without_header


def noted(note: str, root: str = "r", number: int = 0) -> Any:
    return event(pb.Annotated(note=note), root, number)


@dataclass
class Tag:
    uses: int = 0
    last: str = ""


class Tags(Projector[Tag]):
    """A document per word of a note; some words are no names."""

    name = "tags"

    @projects(key=lambda event, context: _named(event.note, context.root))
    def noted(self, document: Tag, event: pb.Annotated, context: ProjectionContext) -> Deleted | None:
        if event.note.startswith("drop"):
            return DELETED
        document.uses += 1
        document.last = f"{context.document_id} of {context.root}"
        return None


def _named(note: str, root: str) -> Any:
    odd: dict[str, Any] = {
        "raise": lambda: 1 // 0,
        "nothing": lambda: None,
        "none": list,
        "number": lambda: 7,
        "numbers": lambda: ["x", 7],
        "bytes": lambda: b"x",
        "empty": lambda: "",
        "long": lambda: "x" * 1025,
        "control": lambda: "a\0b",
        "root": lambda: root,
    }
    return odd[note]() if note in odd else note.removeprefix("drop ").split()


@pytest.fixture
def tags() -> FedProjector:
    return FedProjector(Topology(Accounts, Tags), "tags-v1")


def test_an_event_goes_once_to_each_document_that_it_names(tags: FedProjector) -> None:
    written = tags.run(noted("x y x", "a"), noted("y", "b"))
    assert written.documents() == {"x": {"uses": 1, "last": "x of a"}, "y": {"uses": 2, "last": "y of b"}}
    assert [key for _, _, key, _, _ in tags.feed.log.on("inbox")] == [b"x", b"y", b"y"]
    assert tags.run(noted("root", "a", 1)).documents() == {"a": {"uses": 1, "last": "a of a"}}
    assert tags.run(noted("drop x", "a", 2)).documents() == {}
    assert tags.projector.store.document(b"x") is None


@pytest.mark.parametrize("note", ["nothing", "none"])
def test_an_event_that_names_no_document_is_passed_over(tags: FedProjector, note: str) -> None:
    assert tags.run(noted(note)).outputs == []
    assert tags.feed.log.errors == []


@pytest.mark.parametrize(
    ("note", "error"),
    [
        ("raise", "ZeroDivisionError: "),
        ("number", "HandlerError: key= of Tags.noted gave 7; it gives names of documents, as text"),
        ("numbers", "HandlerError: key= of Tags.noted gave 7; it gives names of documents, as text"),
        ("bytes", "HandlerError: key= of Tags.noted gave b'x'; it gives names of documents, as text"),
        ("empty", "HandlerError: key= of Tags.noted gave ''; a document's name has 1 to 1024 bytes"),
        ("long", "HandlerError: key= of Tags.noted gave 'xxx"),
        ("control", "HandlerError: key= of Tags.noted gave 'a\\x00b'; a document's name has 1 to 1024 bytes"),
    ],
)
def test_a_key_that_names_no_document_is_the_feeds_dead_letter(tags: FedProjector, note: str, error: str) -> None:
    """Later events of that root wait: the feed cannot know which documents they concern. Others go on."""
    written = tags.run(noted(note, "a"), noted("x", "a", 1), noted("y", "b"))
    assert [one.startswith(error) for one in tags.feed.log.errors] == [True], tags.feed.log.errors
    assert list(written.documents()) == ["y"]
    feed = tags.feed.run(tags.feed.settling(discard=True))
    assert list(tags.projector.run(*tags.inbox(feed)).documents()) == ["x"]


def test_of_several_documents_only_the_one_that_is_dead_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit of failure is one event in one document."""
    pockets = FedProjector(reactions.projected, "pockets-v1")

    def stashed(pocket: str, amount: int, number: int) -> Any:
        return event(pb.Stashed(pocket=pocket, amount=amount), "a", number)

    pockets.run(stashed("l", 1, 0), stashed("r", -1, 1), stashed("l/r", 4, 2))
    documents = pockets.projector.log.documents()
    assert documents == {"l": {"amount": 5, "stashed": 2}}
    monkeypatch.setenv("BANK_HEALED", "1")
    written = pockets.projector.run(pockets.projector.settling())
    assert written.documents() == {"r": {"amount": 3, "stashed": 2}}


def test_an_event_without_a_subject_is_still_that_of_its_root(tags: FedProjector) -> None:
    written = tags.run(without_header(noted("x", "a"), SUBJECT))
    assert written.documents() == {"x": {"uses": 1, "last": "x of a"}}


def test_a_record_that_the_feed_is_refused_holds_up_its_root(tags: FedProjector) -> None:
    tags.feed.step.refuse(noted("x", "a"), RecordError("a header cannot be read"))
    tags.feed.step.refuse(event(pb.Swollen(), "b"), RecordError("a header cannot be read"))
    assert list(tags.run(noted("y", "a", 1), noted("z", "b", 1)).documents()) == ["z"]
    feed = tags.feed.run(tags.feed.settling(discard=True))
    assert list(tags.projector.run(*tags.inbox(feed)).documents()) == ["y"]


def test_a_batch_of_the_feed_that_is_rolled_back_leaves_nothing_waiting(tags: FedProjector) -> None:
    tags.feed.step.handle(noted("raise", "a"))
    tags.feed.step.rolled_back()
    assert list(tags.run(noted("y", "a", 1)).documents()) == ["y"]


def test_in_the_inbox_of_a_feed_only_operators_are_heard(tags: FedProjector) -> None:
    forged = noted("x", "a")._replace(topic="main.tags-v1-feed.inbox", key=b"a")
    tags.feed.step.refuse(forged, RecordError("a header cannot be read"))
    assert tags.run(forged).documents() == {}
    assert list(tags.run(noted("y", "a", 1)).documents()) == ["y"]


def test_a_record_in_the_wrong_partition_of_the_inbox_is_sent_to_the_right_one() -> None:
    step = StepUnderTest(Topology(Accounts, Tags), "tags-v1", partitions=4, partition=0)
    elsewhere = noted("x")._replace(topic="main.tags-v1.inbox", key=b"elsewhere")
    (forwarded,) = step.run(elsewhere).outputs
    assert (forwarded[0], forwarded[2], forwarded[3] != 0) == ("main.tags-v1.inbox", b"elsewhere", True)


def test_events_of_a_root_that_were_tried_again_are_not_taken_for_tried_by_the_projector(tags: FedProjector) -> None:
    tags.run(noted("raise", "a"), noted("x", "a", 1))
    feed = tags.feed.run(tags.feed.settling(discard=True))
    (record,) = tags.inbox(feed)
    assert ATTEMPTS not in record.headers


def test_an_event_with_an_incomplete_envelope_is_not_overtaken(tags: FedProjector) -> None:
    incomplete = without_header(noted("x", "a"), ID)
    written = tags.run(incomplete, noted("y", "a", 1), noted("y", "b"))
    assert written.documents() == {"y": {"uses": 1, "last": "y of b"}}
    (error,) = tags.feed.log.errors
    assert error.startswith(f"RecordError: header {ID} is missing")
    assert tags.run(tags.feed.settling(discard=True)).documents() == {"y": {"uses": 2, "last": "y of a"}}

"""The reader that all proof rests on must see what is wrong: a sound log, spoilt in one place after the other."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.schemas import headrace_v1_pb2 as wire
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Load, deployed
from tests.support.independent_reader import Entry, LogReader

pytestmark = pytest.mark.kafka
Topics = dict[str, list[Entry]]


@pytest.fixture(scope="module")
def sound(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> LogReader:
    """A log with all that the bank writes, as the engine made it."""
    with deployed(bootstrap, tmp_path_factory.mktemp("log-reader")) as bank:
        bank.worker().start().await_ready()

        async def calls() -> None:
            async with bank.client() as client:
                load = Load(client, 7, roots=12)
                await load.progress(400)
                await load.finish()

        asyncio.run(calls())
        log = bank.log()
    again(log.topics, log)
    return log


def again(topics: Topics, like: LogReader) -> LogReader:
    """Verify these topics."""
    return LogReader(like.partitions, like.source, topics, like.commands_topic).verify()


def event_at(topics: Topics, sequence: int) -> int:
    """Where in the list of events a root's event with that sequence lies, with more of the root behind it."""
    number = f"|{sequence:020d}".encode()
    following = {entry.key.rpartition(b"|")[0] for entry in topics["events"] if entry.key and entry.key.endswith(b"9")}
    return next(
        i
        for i, entry in enumerate(topics["events"])
        if entry.key and entry.key.endswith(number) and entry.key.rpartition(b"|")[0] in following
    )


def lose_event(topics: Topics) -> None:
    del topics["events"][event_at(topics, 3)]


def lose_last_event(topics: Topics) -> None:
    last = topics["events"][-1]
    topics["events"].remove(last)


def double_event(topics: Topics) -> None:
    at = event_at(topics, 3)
    topics["events"].insert(at, topics["events"][at])


def swap_events(topics: Topics) -> None:
    one, other = event_at(topics, 3), event_at(topics, 4)
    events = topics["events"]
    events[one], events[other] = events[other], events[one]


def move_event(topics: Topics) -> None:
    at = event_at(topics, 3)
    entry = topics["events"][at]
    topics["events"][at] = replace(entry, partition=(entry.partition + 1) % 4)


def other_cause(topics: Topics) -> None:
    at = event_at(topics, 3)
    entry = topics["events"][at]
    topics["events"][at] = replace(entry, headers={**entry.headers, "ce_causationid": b"nobody"})


def decide_twice(topics: Topics) -> None:
    """A root's last event again under the next sequence, as a batch that is handled twice would write it."""
    entry = topics["events"][-1]
    assert entry.key is not None
    root, _, number = entry.key.rpartition(b"|")
    following = int(number) + 1
    headers = {
        **entry.headers,
        "ce_id": b"%s:%d" % (root, following),
        "ce_sequence": b"%d" % following,
    }
    topics["events"].append(replace(entry, key=b"%s|%020d" % (root, following), headers=headers))


def stale_state(topics: Topics) -> None:
    """A deposit decided in a state older than the root's, with answers and snapshot to match."""
    last = {(e.key or b"").rpartition(b"|")[0]: at for at, e in enumerate(topics["events"])}
    at = next(at for at in last.values() if topics["events"][at].headers["ce_type"] == b"bank.v1.Deposited")
    entry = topics["events"][at]
    event = pb.Deposited.FromString(entry.value or b"")
    event.balance -= 1
    topics["events"][at] = replace(entry, value=event.SerializeToString())
    cause, root = entry.headers["ce_causationid"], entry.headers["ce_subject"]
    topics["replies"] = [e for e in topics["replies"] if e.headers["ce_id"] != cause]
    newest = next(i for i in reversed(snapshots_of(topics)) if topics["snapshots"][i].key == root)
    snapshot = wire.Snapshot.FromString(topics["snapshots"][newest].value or b"")
    state = pb.Account.FromString(snapshot.state)
    state.balance -= 1
    snapshot.state = state.SerializeToString()
    topics["snapshots"][newest] = replace(topics["snapshots"][newest], value=snapshot.SerializeToString())


def snapshots_of(topics: Topics) -> list[int]:
    return [i for i, e in enumerate(topics["snapshots"]) if e.key and e.key[:1] != b"\0"]


def answers_of(topics: Topics) -> list[int]:
    return [i for i, e in enumerate(topics["snapshots"]) if (e.key or b"").startswith(b"\0answers|")]


def spoil_snapshot(topics: Topics) -> None:
    # which snapshots there are depends on how batches were cut; this one is of an event that surely changes the state
    moves = {e.key for e in topics["events"] if e.headers["ce_type"] == b"bank.v1.Deposited"}
    for at in snapshots_of(topics):
        entry = topics["snapshots"][at]
        snapshot = wire.Snapshot.FromString(entry.value or b"")
        if snapshot.sequence > 0 and (entry.key or b"") + b"|%020d" % snapshot.sequence in moves:
            break
    else:
        raise LookupError("no snapshot follows a deposit")
    snapshot.sequence -= 1
    topics["snapshots"][at] = replace(entry, value=snapshot.SerializeToString())


def lose_last_snapshot(topics: Topics) -> None:
    del topics["snapshots"][snapshots_of(topics)[-1]]


def lose_answers(topics: Topics) -> None:
    del topics["snapshots"][answers_of(topics)[3]]


def double_answers(topics: Topics) -> None:
    topics["snapshots"].append(topics["snapshots"][answers_of(topics)[3]])


def accepted_at(topics: Topics) -> int:
    for at, entry in enumerate(topics["replies"]):
        if wire.Reply.FromString(entry.value or b"").events:
            return at
    raise AssertionError("no reply with events")


def spoil_reply(topics: Topics) -> None:
    at = accepted_at(topics)
    reply = wire.Reply.FromString(topics["replies"][at].value or b"")
    del reply.events[0]
    topics["replies"][at] = replace(topics["replies"][at], value=reply.SerializeToString())


def refuse_the_accepted(topics: Topics) -> None:
    at = accepted_at(topics)
    reply = wire.Reply.FromString(topics["replies"][at].value or b"")
    reply.status = wire.Reply.REJECTED
    topics["replies"][at] = replace(topics["replies"][at], value=reply.SerializeToString())


def answer_first_twice(topics: Topics) -> None:
    topics["replies"].append(topics["replies"][accepted_at(topics)])


def lose_dead_letter(topics: Topics) -> None:
    del topics["dead-letters"][0]


def spoil_dead_letter(topics: Topics) -> None:
    entry = topics["dead-letters"][0]
    dead_letter = wire.DeadLetter.FromString(entry.value or b"")
    dead_letter.value += b"!"
    topics["dead-letters"][0] = replace(entry, value=dead_letter.SerializeToString())


def a_command_without_outcome(topics: Topics) -> None:
    entry = topics["commands"][-1]
    headers = {**entry.headers, "ce_id": b"never answered", "ce_type": b"bank.v1.Deposit"}
    topics["commands"].append(replace(entry, offset=entry.offset + 1000, headers=headers))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lose_event, "event 4 follows 2"),
        (lose_last_event, r"\+1: \[\]"),
        (double_event, "event 3 follows 3"),
        (swap_events, "event 4 follows"),
        (move_event, "in partition"),
        (other_cause, r"at 3\+1: \[\]"),
        (decide_twice, r"\+1: \[\d+, \d+\]"),
        (stale_state, "not to one of"),
        (spoil_snapshot, r"snapshot of \d+ is"),
        (lose_last_snapshot, "last snapshot"),
        (lose_answers, "has disappeared"),
        (double_answers, "decided twice"),
        (spoil_reply, r"told \[\], on the log"),
        (refuse_the_accepted, "was not accepted and has events"),
        (answer_first_twice, "2 first answers"),
        (lose_dead_letter, "has disappeared"),
        (spoil_dead_letter, "value"),
        (a_command_without_outcome, "has disappeared"),
    ],
)
def test_the_reader_sees(spoil: Callable[[Topics], None], complaint: str, sound: LogReader) -> None:
    topics = {kind: list(entries) for kind, entries in sound.topics.items()}
    spoil(topics)
    assert topics != sound.topics
    with pytest.raises(AssertionError, match=complaint):
        again(topics, sound)

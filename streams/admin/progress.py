"""How far components are behind the ends of their inputs, in records and in seconds."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.streams.admin.group_offsets import committed
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import Ends, PartitionId, end_offsets, read_to_end

_LOOK_AGAIN = 0.25
STILL = 7.0
"""Seconds after which a component that has something to do, and has come no further, is stuck."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a component is behind; measured against the ends of the logs, which do not depend on the component."""

    records: int
    seconds: float
    """Age of the oldest record that is not handled; 0 if all are."""
    moving: bool
    """Whether each partition with something to do came further while it was watched."""


def lag(settings: Settings, component: str, inputs: Iterable[PartitionId]) -> Lag:
    """The lag of a component in partitions of its inputs; where there is one, look for a while whether it moves.

    Raises KafkaException when the brokers do not answer.
    """
    group = f"{settings.prefix}headrace.{component}"
    behind = _behind(settings, group, list(inputs))
    if not behind:
        return Lag(0, 0.0, moving=True)
    unread = next_records(settings, behind)
    behind = {partition: behind[partition] for partition in unread}
    if not behind:  # only markers of transactions, which no component handles
        return Lag(0, 0.0, moving=True)
    records = sum(end - start for start, end in behind.values())
    oldest = min(unread.values())
    moving = _all_move(settings, group, behind)
    return Lag(records, max(0.0, (now_ms() - oldest) / 1000), moving)


def _behind(settings: Settings, group: str, inputs: list[PartitionId]) -> Ends:
    """Where the group is and where the log ends, of partitions that it has not read to the end."""
    ends = end_offsets(settings, inputs)
    offsets = committed(settings, group, inputs, "read_uncommitted")
    starts = {partition: max(offsets[partition], ends[partition][0]) for partition in inputs}
    return {partition: (start, ends[partition][1]) for partition, start in starts.items() if start < ends[partition][1]}


def next_records(settings: Settings, behind: Ends) -> dict[PartitionId, int]:
    """Timestamp of the next committed record of each partition; a partition that has none is left out.

    One in which a transaction is open counts as if its records were committed now.
    """
    found: dict[PartitionId, int] = {}
    unread = dict(behind)
    deadline = time.monotonic() + 5
    for batch in read_to_end(settings, unread, {"group_id": f"{settings.prefix}headrace.reader"}):
        for partition, messages in batch.items():
            found.setdefault(partition, messages[0].timestamp()[1])
            unread.pop(partition, None)  # its first record is enough
        if time.monotonic() > deadline:
            return dict.fromkeys(unread, now_ms()) | found
    return found


def _all_move(settings: Settings, group: str, behind: Ends) -> bool:
    still = {partition: start for partition, (start, _) in behind.items()}
    deadline = time.monotonic() + STILL
    while still and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
        now = committed(settings, group, still, "read_uncommitted")
        still = {partition: start for partition, start in still.items() if now[partition] <= start}
    return not still


def await_passed(settings: Settings, group: str, ends: Ends, deadline: float) -> bool:
    """Wait until a group has handled these partitions up to these ends; False when `deadline` has passed.

    `deadline` is of `time.monotonic`. Groups of other programs never commit the marker that ends a transaction, so a
    partition without a record before its end is passed too.
    """
    left = {partition: end for partition, (first, end) in ends.items() if end > first}
    while True:
        now = committed(settings, group, left, "read_uncommitted")
        behind = {place: (max(now[place], ends[place][0]), end) for place, end in left.items() if now[place] < end}
        left = {partition: ends[partition][1] for partition in next_records(settings, behind)}
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN)

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


def lag(settings: Settings, component: str, inputs: Iterable[PartitionId], *, watch: bool = True) -> Lag:
    """The lag of a component in partitions of its inputs; with `watch`, look for a while whether it becomes less.

    Raises KafkaException when the brokers do not answer.
    """
    group = f"{settings.prefix}headrace.{component}"
    behind = _behind(settings, group, list(inputs))
    if not behind:
        return Lag(0, 0.0, moving=True)
    records = sum(end - start for start, end in behind.values())
    oldest = _oldest(settings, behind)
    if oldest is None:  # only markers of transactions, which no component handles
        return Lag(0, 0.0, moving=True)
    moving = not watch or _all_move(settings, group, behind)
    return Lag(records, max(0.0, (now_ms() - oldest) / 1000), moving)


def _behind(settings: Settings, group: str, inputs: list[PartitionId]) -> Ends:
    """Where the group is and where the log ends, of partitions that it has not read to the end."""
    ends = end_offsets(settings, inputs)
    offsets = committed(settings, group, inputs, "read_uncommitted")
    starts = {partition: max(offsets[partition], ends[partition][0]) for partition in inputs}
    return {partition: (start, ends[partition][1]) for partition, start in starts.items() if start < ends[partition][1]}


def _oldest(settings: Settings, behind: Ends) -> int | None:
    """Timestamp of the oldest committed record that is not handled."""
    found: list[int] = []
    unread = dict(behind)
    config = {"group_id": f"{settings.prefix}headrace.reader"}
    deadline = time.monotonic() + 5
    for batch in read_to_end(settings, unread, config):
        for partition, messages in batch.items():
            found.append(messages[0].timestamp()[1])
            unread.pop(partition, None)  # its first record is enough
        if time.monotonic() > deadline:  # a transaction is open there
            break
    return min(found, default=None)


def _all_move(settings: Settings, group: str, behind: Ends) -> bool:
    still = {partition: start for partition, (start, _) in behind.items()}
    deadline = time.monotonic() + STILL
    while still and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
        now = committed(settings, group, still, "read_uncommitted")
        still = {partition: start for partition, start in still.items() if now[partition] <= start}
    return not still


def await_passed(settings: Settings, component: str, ends: Ends, deadline: float) -> bool:
    """Wait until a component has handled these partitions up to these ends; False when `deadline` has passed.

    `deadline` is of `time.monotonic`.
    """
    group = f"{settings.prefix}headrace.{component}"
    left = {partition: end for partition, (first, end) in ends.items() if end > first}
    while left:
        now = committed(settings, group, left, "read_uncommitted")
        left = {partition: end for partition, end in left.items() if now[partition] < end}
        if left and time.monotonic() > deadline:
            return False
        if left:
            time.sleep(_LOOK_AGAIN)
    return True

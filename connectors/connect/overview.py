"""All about the sinks of a deployment in one look: what Connect says of each, and what Kafka says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.connectors.connect.deployment import Deployed
from headrace.connectors.connect.progress import Progress, progress
from headrace.connectors.connect.rendering import Rendered
from headrace.streams.settings import Settings

_LONGEST = 500
"""Characters of the cause of a failure."""


@dataclass(frozen=True)
class TaskStatus:
    """One task of a sink."""

    id: int
    state: str
    error: str
    """The last cause of its failure, which says most; empty if it has not failed."""


@dataclass(frozen=True)
class SinkStatus:
    """One sink, as it is now."""

    name: str
    state: str
    """As Connect says: RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING; or MISSING."""
    runs: bool
    """Whether it and all of its tasks run."""
    tasks: list[TaskStatus]
    lag: int | None
    """Records that are before it; None if there is no topic of documents, or it is not declared any more."""
    dead_letters: int | None
    """That are open; None if it is not declared any more."""
    needs_reset: str
    """Why it may have missed deletions; empty if it has not."""
    cure: str
    """What to do about that; empty if there is nothing to do."""


def overview(there: Deployed, settings: Settings, wanted: Collection[str]) -> list[SinkStatus]:
    """These connectors, those that are declared first. Raises ConnectFailed, KafkaException."""
    statuses = there.client.statuses()
    declared = {one.name: one for one in there.declared if one.name in wanted}
    rows = [sink_status(name, statuses.get(name), one, progress(settings, one)) for name, one in declared.items()]
    return rows + [sink_status(name, statuses.get(name)) for name in wanted if name not in declared]


def sink_status(
    name: str, said: Mapping[str, Any] | None, declared: Rendered | None = None, found: Progress | None = None
) -> SinkStatus:
    """One sink, from what Connect says of it, and what Kafka says if it is declared."""
    state = "MISSING" if said is None else str(said["connector"]["state"])
    tasks = [TaskStatus(one["id"], one["state"], _cause(one.get("trace", ""))) for one in (said or {}).get("tasks", ())]
    runs = state == "RUNNING" and bool(tasks) and all(task.state == "RUNNING" for task in tasks)
    if declared is None or found is None:
        return SinkStatus(name, state, runs, tasks, None, None, "", "")
    cure = declared.cure if found.missed else ""
    return SinkStatus(name, state, runs, tasks, found.lag, found.dead_letters, found.missed, cure)


def _cause(trace: str) -> str:
    causes = [line for line in trace.splitlines() if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else trace.partition("\n")[0])[:_LONGEST]

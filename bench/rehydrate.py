"""Time to a root's state from a store on disk: by its snapshot, and by folding its whole history.

Each reading is done in a new process, which opens the store with empty caches of its own, after the operating system
was asked to drop the store's files from its cache too.
"""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.bench.load import DOMAIN, Progress, at_least, config, median
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas.changelog import kept_key
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.record import Record
from headrace.schemas.stored_event import unpack
from headrace.streams.runtime.worker import calm_collector
from headrace.streams.settings import Settings
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.handlers import States
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.state_cache import StateCache
from headrace.streams.steps.store import Store
from headrace.topology.inspection import ComponentSpec, type_name

TARGETS = {"snapshot_ms": "< 1", "cold_ms": "< 250"}
ROOT = b"player-000000"
_BATCH = 1000
_PASSES = 5
_PAST = """
import json, sys
from headrace.bench.rehydrate import read_past
print(json.dumps(read_past(*json.loads(sys.argv[1]))))
"""
_READING = """
import json, sys
from headrace.bench.rehydrate import read
print(json.dumps(read(*json.loads(sys.argv[1]))))
"""


def run(progress: Progress, *, events: int = 100_000, rounds: int = 5) -> dict[str, Any]:
    """Let the engine's step write `events` events of one root to a store, then load the root `rounds` times."""
    at_least("rounds", rounds, 3)
    at_least("events", events, 2)
    with TemporaryDirectory(prefix="headrace-bench-") as folder:
        progress(f"writing {events:,} events")
        balance = write_history(Path(folder) / "store", events)
        _keep(Path(folder) / "store", events // 2)
        size = sum(file.stat().st_size for file in (Path(folder) / "store").iterdir())
        snapshot = [_apart(Path(folder) / "store", events, balance, cold=False) for _ in range(rounds)]
        progress(f"with its snapshot: {median([r['load'] for r in snapshot]):.3f} ms")
        kept = [_apart_past(Path(folder) / "store", events) for _ in range(rounds)]
        progress(f"100 events after a kept snapshot: {median(kept):.3f} ms")
        _outdate(Path(folder) / "store")
        cold = [_apart(Path(folder) / "store", events, balance, cold=True) for _ in range(rounds)]
        progress(f"cold: {median([r['load'] for r in cold]):.1f} ms")
    return {
        "bench": "rehydrate",
        "what": f"one player with {events:,} events in a store of {size / 1e6:.1f} MB on disk: its state by the "
        "snapshot, and folded from all events since the snapshot's fingerprint is another one's",
        "how": "written by the engine's step; loaded as the engine loads, each time in a new process and with the "
        f"files dropped from the page cache; medians of {rounds}. kept_snapshot_ms: the state as of 100 events "
        "after a kept snapshot in the middle, root loaded. cold_stages_ms: processor time of a warm fold, in the "
        "process of each cold load, best of some passes in turn; fold_to_bare: that fold to its first two stages",
        "events": events,
        "snapshot_ms": round(median([r["load"] for r in snapshot]), 4),
        "cold_ms": round(median([r["load"] for r in cold]), 1),
        "kept_snapshot_ms": round(median(kept), 4),
        "cold_stages_ms": {
            name: round(median([r[name] for r in cold]), 1) for name in ("read", "parse_and_apply", "rest")
        },
        "fold_to_bare": round(median([r["fold"] / (r["read"] + r["parse_and_apply"]) for r in cold]), 3),
        "snapshot_rounds": [round(r["load"], 4) for r in snapshot],
        "cold_rounds": [round(r["load"], 1) for r in cold],
    }


def write_history(folder: Path, events: int) -> int:
    """A store as a worker leaves it after so many commands to one root; the balance they end at."""
    settings = Settings(bootstrap="nowhere", partitions=1, prefix="")
    here = config(settings, "")
    store = PartitionStore(folder)
    view = store.edition(settings.edition)
    step = make_step(here.topology, DOMAIN, view, here.step_context(settings.edition, 0, time.sleep))
    now, balance = time.time_ns() // 1_000_000, 0
    for number in range(events):
        command = pb.DepositFunds(amount=number % 9 + 1) if number else pb.RegisterPlayer(name="somebody")
        balance += number % 9 + 1 if number else 0
        step.handle(_record(here.topic(settings.edition, "commands"), number, now + number, command))
        if (number + 1) % _BATCH == 0 or number + 1 == events:
            view.put(step.finish(now + number), {})
            if step.committed().accepted != number % _BATCH + 1:
                raise RuntimeError("the step did not accept the benchmark's commands")
    store.close()
    return balance


def _outdate(folder: Path) -> None:
    """Make the snapshot one of another version of the state's type, so that it is not to be used."""
    store = PartitionStore(folder)
    view = store.edition("main")
    snapshot = Snapshot.FromString(view.snapshot(ROOT) or b"")
    snapshot.fingerprint = "0" * 16
    view.restore_changelog([(ROOT, snapshot.SerializeToString())], {})
    store.close()


def _keep(folder: Path, at: int) -> None:
    """Put a snapshot of the state after the event `at` beside the newest one, as a policy with `keep` does."""
    store = PartitionStore(folder)
    view, states = store.edition("main"), States(topology.aggregate(DOMAIN))
    state = states.new()
    states.fold(state, view.history(ROOT, 0, at))
    kept = Snapshot(sequence=at, state=states.serialise(state), fingerprint=states.fingerprint)
    view.restore_changelog([(kept_key(ROOT, at), kept.SerializeToString())], {})
    store.close()


def _record(topic: str, number: int, now: int, command: Any) -> Record:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": b"%032x" % number,
        "ce_source": b"/main/client/bench",
        "ce_type": type_name(type(command)).encode(),
        "ce_correlationid": b"%032x" % number,
        "content-type": b"application/protobuf",
    }
    return Record(topic, 0, number, now, ROOT, command.SerializeToString(), headers)


def _apart(folder: Path, events: int, balance: int, *, cold: bool) -> dict[str, float]:
    """One reading in a process of its own."""
    _drop_from_page_cache(folder)
    arguments = json.dumps([str(folder), events, balance, cold])
    done = subprocess.run([sys.executable, "-c", _READING, arguments], stdout=subprocess.PIPE, check=True)
    taken: dict[str, float] = json.loads(done.stdout)
    return taken


def _apart_past(folder: Path, events: int) -> float:
    """Milliseconds of a read of the past behind a kept snapshot, in a process of its own."""
    _drop_from_page_cache(folder)
    arguments = json.dumps([str(folder), events])
    done = subprocess.run([sys.executable, "-c", _PAST, arguments], stdout=subprocess.PIPE, check=True)
    taken: float = json.loads(done.stdout)
    return taken


def read_past(folder: str, events: int) -> float:
    """Milliseconds of the state as of 100 events after the middle; raises RuntimeError when it is wrong."""
    view = PartitionStore(Path(folder)).edition("main")
    cache, batch = StateCache(States(topology.aggregate(DOMAIN)), view, 1000), Batch(view)
    calm_collector()
    live, at = cache.use(ROOT, batch), min(events // 2 + 100, events - 2)
    started = time.perf_counter()
    state = cache.state_at(ROOT, live, at)
    taken = (time.perf_counter() - started) * 1000
    balance = sum(number % 9 + 1 for number in range(1, at + 1))
    if not isinstance(state, pb.PlayerState) or state.bankroll != balance:
        raise RuntimeError(f"as of {at} the state is {state}, not a balance of {balance}")
    return taken


def _drop_from_page_cache(folder: Path) -> None:
    if not hasattr(os, "posix_fadvise"):
        return
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(folder: str, events: int, balance: int, cold: bool) -> dict[str, float]:
    """Milliseconds of the load, and of its stages when it is a cold one; raises RuntimeError when it is wrong."""
    view = PartitionStore(Path(folder)).edition("main")
    spec = topology.aggregate(DOMAIN)
    cache, batch = StateCache(States(spec), view, 1000), Batch(view)
    calm_collector()
    started = time.perf_counter()
    live = cache.use(ROOT, batch)
    taken = {"load": (time.perf_counter() - started) * 1000}
    state = live.state
    if not isinstance(state, pb.PlayerState) or (live.sequence, state.bankroll) != (events - 1, balance):
        raise RuntimeError(f"loaded sequence {live.sequence} and {state}, not a balance of {balance}")
    if cold:
        taken |= _stages(view, events, spec)
    return taken


def _stages(view: Store, events: int, spec: ComponentSpec) -> dict[str, float]:
    """Milliseconds of processor time for a whole fold, and for what it cannot do without: to read all events from the
    store, and to parse and apply them once they are taken apart. Each is the best of several passes."""
    events_of = {spec.upcasters.newest(name).key: (m(), apply) for name, (m, apply) in spec.appliers.items()}
    known = {name: (event.ParseFromString, event, apply) for name, (event, apply) in events_of.items()}
    states = States(spec)

    def read() -> None:
        for _ in view.history(ROOT, 0, events - 1):
            pass

    stored = [unpack(value) for value in view.history(ROOT, 0, events - 1)]
    apart = [(one.schema, one.data) for one in stored]
    del stored

    def parse_and_apply() -> None:
        state = spec.state_type()
        for name, data in apart:
            parse, event, apply = known[name]
            parse(data)
            apply(state, event)

    def fold() -> None:
        states.fold(states.new(), view.history(ROOT, 0, events - 1))

    taken: dict[str, float] = {"read": math.inf, "parse_and_apply": math.inf, "fold": math.inf}
    for _ in range(_PASSES):  # in turn, since the machine may have other work
        for name, stage in (("read", read), ("parse_and_apply", parse_and_apply), ("fold", fold)):
            started = time.process_time()
            stage()
            taken[name] = min(taken[name], (time.process_time() - started) * 1000)
    taken["rest"] = taken["fold"] - taken["read"] - taken["parse_and_apply"]
    return taken

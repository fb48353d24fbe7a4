"""What a figure was measured on; without it a figure says little."""

import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from headrace.embedded.jars import KAFKA_VERSION
from headrace.streams.settings import Settings


def describe() -> dict[str, Any]:
    """The machine and its software, now."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "disk": _file_system(Path(tempfile.gettempdir())),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": "given by HEADRACE_BOOTSTRAP" if Settings().bootstrap else f"{KAFKA_VERSION}, embedded, one broker",
    }


class Others:
    """How much of the machine other programs use from now on: they make figures worse than the machine's own."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.monotonic(), _busy(), _own()

    def cpus(self) -> float:
        """Processors that other programs kept busy so far, on average."""
        used = _busy() - self._busy - (_own() - self._own)
        return max(0.0, used / (time.monotonic() - self._started))


def _busy() -> float:
    """Processor seconds that all programs have used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own() -> float:
    """Processor seconds of this process and its children, those that have ended included."""
    own = psutil.Process()
    found = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has just ended, and counts with its parent
            continue
        found += times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _file_system(folder: Path) -> str:
    """Kind of the file system that holds `folder`, where the stores of a benchmark are."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    place = str(folder.resolve())
    fitting = [(len(m[1]), m[2]) for m in mounts if place == m[1] or place.startswith(m[1].rstrip("/") + "/")]
    return max(fitting)[1] if fitting else "unknown"

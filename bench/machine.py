"""What a figure was measured on; without it a figure says little."""

import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.embedded.jars import KAFKA_VERSION
from headrace.streams.settings import Settings


def describe() -> dict[str, Any]:
    """The machine, its software and how busy it is before the measurement begins.

    `load` is the number of processes that ran or wanted to, on average over the last minute: with more than a few
    tenths a core, others were at work and figures are worse than the machine's own.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "disk": _file_system(Path(tempfile.gettempdir())),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": "given by HEADRACE_BOOTSTRAP" if Settings().bootstrap else f"{KAFKA_VERSION}, embedded, one broker",
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _file_system(folder: Path) -> str:
    """Kind of the file system that holds `folder`, where the stores of a benchmark lie."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    place = str(folder.resolve())
    fitting = [(len(m[1]), m[2]) for m in mounts if place == m[1] or place.startswith(m[1].rstrip("/") + "/")]
    return max(fitting)[1] if fitting else "unknown"

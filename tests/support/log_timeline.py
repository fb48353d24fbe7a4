"""What several workers said, in the order of time and without the usual: short enough for the output of a test."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_TELLING = ("worker starts", "partitions assigned", "partitions revoked", "a broker was lost")


def timeline(folder: Path, lines: int = 40, width: int = 180) -> str:
    """The last lines of all logs in a folder that say more than that all is well."""
    told = sorted(line for log in folder.glob("**/*.log") for line in _lines(log))
    return "\n".join(line[:width] for line in told[-lines:])


def log_lines(text: str) -> Iterator[dict[str, Any]]:
    """What a worker's log says in JSON; other lines are passed over, and those that a kill has cut off."""
    for line in text.splitlines():
        if line.startswith("{"):
            with suppress(ValueError):
                yield json.loads(line)


def _lines(log: Path) -> Iterator[str]:
    for line in log_lines(log.read_text(errors="replace")):
        event = str(line.get("event"))
        usual = line.get("level") == "info" and not event.startswith(_TELLING)
        if usual or event.startswith("GETPID"):  # a producer that asks again
            continue
        rest = [str(line[key]) for key in ("domain", "partitions", "partition", "error", "group") if key in line]
        yield f"{line.get('timestamp', '')[11:23]} {log.stem} {event} {' '.join(rest)}"

"""Where an edition is to begin, as people write it. No I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from headrace.schemas.record import since_epoch
from headrace.topology.cut import Root

_ROOT = re.compile(r"([a-z][a-z0-9-]*)/(.+):(-1|\d{1,18})", re.DOTALL)
_DOMAIN = re.compile(r"([a-z][a-z0-9-]*):(-1|\d{1,18})")
FORMS = "DOMAIN/ROOT:SEQUENCE, DOMAIN:SEQUENCE, or a time such as 2026-11-27T17:30:00Z"


@dataclass(frozen=True, slots=True)
class At:
    """What was asked for."""

    moment: int | None = None
    """Milliseconds since 1970; None if no time was named."""
    domains: dict[str, int] = field(default_factory=dict)
    roots: dict[Root, int] = field(default_factory=dict)


def parse_at(texts: Iterable[str]) -> At:
    """What these texts say together: a time at most, and sequences of roots and of whole domains. Raises ValueError."""
    moment: int | None = None
    found = At()
    for text in texts:
        if named := _ROOT.fullmatch(text):
            found.roots[named[1], named[2]] = int(named[3])
        elif named := _DOMAIN.fullmatch(text):
            found.domains[named[1]] = int(named[2])
        elif moment is not None:
            raise ValueError(f"at {text}: an edition begins at one time; name it once")
        else:
            moment = _moment(text)
    return At(moment, found.domains, found.roots)


def _moment(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"at {text!r}: must be {FORMS}") from None
    if time.tzinfo is None:
        raise ValueError(f"at {text}: the time needs a zone, such as {text}Z for UTC")
    return since_epoch(time)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as 90s, 30m, 12h or 7d. Raises ValueError."""
    named = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if named is None or not int(named[1]):
        raise ValueError(f"{text!r} is no duration; write 90s, 30m, 12h or 7d")
    return int(named[1]) * _UNITS[named[2]] * 1000

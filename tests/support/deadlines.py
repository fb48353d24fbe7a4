"""How long tests wait: longer on a machine that is slower, so that no deadline is a bare number of seconds."""

import functools
import os
import time

_REFERENCE = 0.045
"""Seconds that the loop below takes on a fast machine."""
_MOST = 6.0


@functools.cache
def slowness() -> float:
    """How much slower this machine is than a fast one, 1 to 6; the same in all processes of one test run."""
    known = os.environ.get("HEADRACE_TEST_SLOWNESS")
    if known is None:
        known = str(min(max(min(_loop() for _ in range(5)) / _REFERENCE, 1.0), _MOST))
        os.environ["HEADRACE_TEST_SLOWNESS"] = known
    return float(known)


def _loop() -> float:
    """Processor time, so that neighbours count only as far as they slow the processor down."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number & 3
    return time.process_time() - began


def seconds(fast: float) -> float:
    """A wait that is enough on a fast machine, made long enough for this one."""
    return fast * slowness()

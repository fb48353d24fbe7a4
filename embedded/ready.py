"""When a cluster may be called ready: brokers there, group and transaction coordinators answering."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headrace.embedded import wire
from headrace.embedded.process import wait_until

PROBE = "headrace-embedded-probe"
_PATIENCE = 2.0


def await_cluster(ports: Sequence[int], deadline: float, check: Callable[[], None]) -> str | None:
    """Wait until the brokers on these ports know each other and both kinds of coordinator answer.

    Args:
        ports: of the brokers that run.
        deadline: as `time.monotonic()` counts.
        check: called again and again; raises if waiting is in vain.

    Returns:
        What is still missing at the deadline; None if nothing is.
    """
    said = ""

    def all_known() -> bool:
        nonlocal said
        known = min(wire.brokers_known(port, _PATIENCE) for port in ports)
        said = f"{known} of {len(ports)} brokers are known to the cluster"
        return known >= len(ports)

    def group() -> bool:
        nonlocal said
        said = "the group coordinator does not answer"
        code, at = wire.coordinator(ports[0], wire.GROUP, PROBE, _PATIENCE)
        # The other kind is asked for as well, so that the topics of both are made at the same time.
        wire.coordinator(ports[0], wire.TRANSACTION, PROBE, _PATIENCE)
        code = code or wire.group_error(at, PROBE, _PATIENCE)
        said += f" (error code {code})"
        return code == 0

    def transaction() -> bool:
        nonlocal said
        said = "the transaction coordinator does not answer"
        code, at = wire.coordinator(ports[0], wire.TRANSACTION, PROBE, _PATIENCE)
        code = code or wire.transaction_error(at, PROBE, _PATIENCE)
        said += f" (error code {code})"
        return code == 0

    def attempt(condition: Callable[[], bool]) -> bool:
        check()
        try:
            return condition()
        except OSError:
            return False

    for condition in (all_known, group, transaction):
        if not wait_until(lambda condition=condition: attempt(condition), deadline, 0.05):  # type: ignore[misc]
            return said or "no broker answers"
    return None


def answers(ports: Sequence[int]) -> bool:
    """Whether one of these ports answers as a broker, within two seconds."""
    deadline = time.monotonic() + _PATIENCE
    for port in ports:
        try:
            if wire.brokers_known(port, max(0.1, deadline - time.monotonic())) > 0:
                return True
        except OSError:
            continue
    return False

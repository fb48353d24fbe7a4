"""When a cluster may be called ready: brokers there, group and transaction coordinators answering."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from headrace.streams.embedded.settings import HOST

# What librdkafka says about brokers that are not there yet is expected here; it must not reach the user's terminal.
_silent = logging.getLogger("headrace.streams.embedded.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

PROBE = "headrace-embedded-probe"
_PATIENCE = 2.0


def port_answers(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def brokers_known(bootstrap: str, seconds: float) -> int:
    """How many brokers the cluster names; 0 if it does not answer in that time."""
    try:
        return len(_admin(bootstrap).list_topics(timeout=seconds).brokers)
    except KafkaException:
        return 0


def await_cluster(bootstrap: str, brokers: int, deadline: float, check: Callable[[], None]) -> str | None:
    """Wait until all brokers are known and both kinds of coordinator answer. What is still missing, or None if all is.

    Args:
        deadline: as `time.monotonic()` counts.
        check: called again and again; raises if waiting is in vain.
    """
    admin = _admin(bootstrap)
    known = 0
    while known < brokers:
        check()
        left = deadline - time.monotonic()
        if left <= 0:
            return f"{known} of {brokers} brokers are known to the cluster"
        try:
            known = len(admin.list_topics(timeout=min(left, 1.0)).brokers)
        except KafkaException:
            continue
        if known < brokers:
            time.sleep(0.02)
    # Either coordinator makes its topic when it is first asked for, which would else be paid by the first transaction.
    # The group is asked for without waiting, so that both topics are made at the same time.
    group = _ask_group(admin)
    producer = Producer(_config(bootstrap) | {"transactional.id": PROBE}, logger=_silent)
    said: str | None = ""
    while said is not None:
        check()
        if time.monotonic() >= deadline:
            return f"the transaction coordinator does not answer ({said})"
        said = _refusal(lambda: producer.init_transactions(1.0))
    while True:
        said = _refusal(partial(group.result, timeout=_PATIENCE))
        # A group that was never there is the answer that was hoped for.
        if said is None or "GROUP_ID_NOT_FOUND" in said:
            return None
        check()
        if time.monotonic() >= deadline:
            return f"the group coordinator does not answer ({said})"
        time.sleep(0.02)
        group = _ask_group(admin)


def _refusal(ask: Callable[[], object]) -> str | None:
    """What a coordinator says against it, or None if it complied. It may have to load its topic first."""
    try:
        ask()
    except (KafkaException, TimeoutError) as error:
        return str(error)
    return None


def _ask_group(admin: AdminClient) -> Future[Any]:
    asked: Future[Any] = admin.describe_consumer_groups([PROBE], request_timeout=_PATIENCE)[PROBE]
    return asked


def _config(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "error_cb": _ignore}


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient(_config(bootstrap), logger=_silent)


def _ignore(_error: object) -> None:
    pass

"""The four requests of Kafka's protocol that tell when a cluster is ready.

By hand, because a client library retries its coordinator every half second, which would double the time of a start.
Only versions without tagged fields are used; every broker from 4.0 on answers them.
"""

from __future__ import annotations

import socket
import struct

from headrace.embedded.settings import HOST

GROUP, TRANSACTION = 0, 1
_METADATA, _FIND_COORDINATOR, _DESCRIBE_GROUPS, _INIT_PRODUCER_ID = 3, 10, 15, 22
_TRANSACTION_TIMEOUT_MS = 1000


def port_answers(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def brokers_known(port: int, timeout: float) -> int:
    """How many brokers the one on that port knows of."""
    (count,) = struct.unpack_from(">i", _ask(port, _METADATA, 1, struct.pack(">i", 0), timeout))
    return int(count)


def coordinator(port: int, kind: int, key: str, timeout: float) -> tuple[int, int]:
    """(error code, port) of the coordinator of a group or a transactional id; the port counts only if the code is 0.

    Asking makes the coordinators' topic if it is not there yet.
    """
    answer = _ask(port, _FIND_COORDINATOR, 1, _string(key) + struct.pack(">b", kind), timeout)
    code, length = struct.unpack_from(">hh", answer, 4)
    at = 8 + max(0, length) + 4
    (host_length,) = struct.unpack_from(">h", answer, at)
    (found,) = struct.unpack_from(">i", answer, at + 2 + max(0, host_length))
    return code, found


def group_error(port: int, group: str, timeout: float) -> int:
    """The error code with which a coordinator describes a group; 0 also if the group never was."""
    body = struct.pack(">i", 1) + _string(group)
    (code,) = struct.unpack_from(">h", _ask(port, _DESCRIBE_GROUPS, 0, body, timeout), 4)
    return int(code)


def transaction_error(port: int, transactional_id: str, timeout: float) -> int:
    """The error code with which a coordinator gives a producer id to a transactional id."""
    body = _string(transactional_id) + struct.pack(">i", _TRANSACTION_TIMEOUT_MS)
    (code,) = struct.unpack_from(">h", _ask(port, _INIT_PRODUCER_ID, 0, body, timeout), 4)
    return int(code)


def _ask(port: int, api: int, version: int, body: bytes, timeout: float) -> bytes:
    """One request and the body of its answer. Raises OSError if none comes within `timeout` seconds."""
    request = struct.pack(">hhi", api, version, 1) + _string("headrace-embedded") + body
    with socket.create_connection((HOST, port), timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _receive(connection, 4))
        return _receive(connection, size)[4:]


def _receive(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("the broker closed the connection before its answer was whole")
        received += part
    return bytes(received)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw

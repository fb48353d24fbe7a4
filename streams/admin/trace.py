"""What one cause led to: the tree of records with one correlation id, read from the topics."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from typing import Any

from headrace.schemas.headers import CAUSATION, CORRELATION, FACT, ID, REPLAY_OF, SOURCE, SUBJECT, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.ids import TimerRef
from headrace.schemas.record import rfc3339
from headrace.streams.settings import Settings
from headrace.streams.state.messages import headers_of
from headrace.streams.state.topic_reader import read
from headrace.streams.steps.dead_letters import input_headers
from headrace.topology.topology import Topology

_KINDS = ("commands", "facts", "inbox", "events", "dead-letters")
_REJECTION, _SETTLED = b"headrace.v1.Rejection", b"headrace.v1.Settled"


@dataclass(slots=True)
class Node:
    """One record of the correlation, and what it led to."""

    kind: str
    """command, fact, event, rejection, time-out or dead letter."""
    id: str
    """Unique in the deployment, as that of an event begins with its source."""
    causes: tuple[str, ...]
    """Ids of what may have led to it; the first one that exists counts."""
    domain: str
    root: str
    type: str
    time: int
    """The record's timestamp in milliseconds."""
    note: str = ""
    children: "list[Node]" = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As JSON, with everything below it."""
        return {
            "kind": self.kind,
            "id": self.id,
            "domain": self.domain,
            "root": self.root,
            "type": self.type,
            "time": rfc3339(self.time),
            "note": self.note,
            "children": [child.data() for child in self.children],
        }


def trace(settings: Settings, topology: Topology, correlation_id: str) -> list[Node]:
    """The roots of the tree, oldest first; empty if no record has that correlation id.

    Reads every topic of the topology's components in this edition to its end; raises what `topic_reader.read` raises.
    """
    nodes = _nodes(settings, topology, correlation_id.encode())
    nodes.sort(key=lambda node: node.time)
    by_id: dict[str, Node] = {}
    for node in nodes:
        # a process manager may pass a rejection on to a second inbox; effects belong to that of their own component
        for name in (f"{node.domain} {node.id}", node.id):
            by_id.setdefault(name, node)
    for node in list(nodes):
        if node.causes and node.causes[0] not in by_id and (time_out := _time_out(node.causes[0])):
            by_id[time_out.id] = time_out
            nodes.append(time_out)
    nodes.sort(key=lambda node: node.time)
    roots: list[Node] = []
    for node in nodes:
        names = [name for cause in node.causes for name in (f"{node.domain} {cause}", cause)]
        parent = next((by_id[name] for name in names if name in by_id and by_id[name] is not node), None)
        (roots if parent is None else parent.children).append(node)
    return roots


def _time_out(cause: str) -> Node | None:
    """The time-out that a cause names. It is on no topic, so what started it is not known."""
    _, _, component, rest = (*cause.split("/", 3), "", "", "")[:4]
    timer = TimerRef.parse(rest)
    return None if timer is None else Node("time-out", cause, (), component, *timer)


def _nodes(settings: Settings, topology: Topology, correlation: bytes) -> list[Node]:
    wanted = {t.name for t in topology.topics(settings.names, 1, settings.edition)}
    # reading is mostly waiting: 49 small topics take 0.4 s in threads, and 3.2 s one after the other
    with ThreadPoolExecutor(8) as threads:
        reading = [
            threads.submit(_in_topic, settings, name, parts[1], parts[2], correlation, topology)
            for name in sorted(wanted)
            if (parts := settings.names.split(name)) and parts[2] in _KINDS
        ]
        return [node for topic in reading for node in topic.result()]


def _in_topic(
    settings: Settings, topic: str, component: str, kind: str, correlation: bytes, topology: Topology
) -> list[Node]:
    takes_commands = topology.component(component).takes_commands
    nodes: list[Node] = []
    by_id: dict[str, Node] = {}
    for message in read(settings, topic):
        headers = headers_of(message)
        if headers.get(TYPE) == _SETTLED:
            settled = Settled.FromString(message.value() or b"")
            if node := by_id.pop(settled.dead_letter_id, None):
                node.note = f"{settled.outcome}; {node.note}"
            continue
        what = kind.removesuffix("s").replace("-", " ")
        if kind == "inbox":
            what = "rejection" if headers.get(TYPE) == _REJECTION else "command"
            if REPLAY_OF in headers or (what == "command" and not takes_commands):
                continue  # copies of events and commands, which are on other topics too
        if (headers.get(CORRELATION) or headers.get(ID)) == correlation:
            node = _node(what, component, headers, message.value() or b"", message.timestamp()[1])
            by_id[node.id] = node
            nodes.append(node)
    return nodes


def _node(what: str, component: str, headers: dict[str, bytes], value: bytes, timestamp: int) -> Node:
    def text(name: str) -> str:
        return (headers.get(name) or b"").decode(errors="replace")

    causes = (text(CAUSATION),) if CAUSATION in headers else ()
    node = Node(what, text(ID), causes, component, text(SUBJECT), text(TYPE), timestamp)
    if what in ("event", "command"):
        # a process manager refers to a rejection by source and id, as it does to events
        source, found, command = text(CAUSATION).partition("/rejection/")
        node.causes = (*causes, f"rejection/{command}") if found and source else causes
    if what == "event":
        node.id = f"{text(SOURCE)}/{text(ID)}"
        node.note = f"fact {text(FACT)}" if FACT in headers else ""
    elif what == "rejection":
        rejection = WireRejection.FromString(value)
        node.note = f"{rejection.component} {rejection.root} refused {rejection.command_type}: {rejection.reason}"
    elif what == "dead letter" and node.type == "headrace.v1.DeadLetter":
        dead_letter = DeadLetter.FromString(value)
        inner = {name: value.decode(errors="replace") for name, value in input_headers(dead_letter).items()}
        node.causes = (f"{inner.get(SOURCE)}/{inner.get(ID)}", inner.get(ID, ""))
        node.root = inner.get(SUBJECT, "")
        node.note = f"{dead_letter.component}: {dead_letter.error_class}: {dead_letter.error}"
    return node


def text(nodes: list[Node]) -> Iterator[str]:
    """The tree as lines, with times in milliseconds after the first record."""
    start = min((node.time for node in nodes), default=0)
    yield from _lines(nodes, "", start)


def _lines(nodes: list[Node], indent: str, start: int) -> Iterator[str]:
    for node in nodes:
        note = f"  ({node.note})" if node.note else ""
        yield f"{indent}{node.kind} {node.domain} {node.root}: {node.type}  +{node.time - start} ms{note}"
        yield from _lines(node.children, indent + "  ", start)


def mermaid(nodes: list[Node]) -> Iterator[str]:
    """The tree as a Mermaid flowchart."""
    yield "flowchart TD"
    yield from _arrows(nodes, "", iter(range(1_000_000)))


def _arrows(nodes: list[Node], parent: str, numbers: Iterator[int]) -> Iterator[str]:
    shapes = {"command": ("[", "]"), "fact": ("[/", "/]"), "event": ("(", ")"), "rejection": ("{{", "}}")}
    for node in nodes:
        name = f"n{next(numbers)}"
        left, right = shapes.get(node.kind, ("[[", "]]"))
        label = f"{node.domain} {escape(node.root)}<br>{escape(node.type)}".replace('"', "'")
        yield f'  {name}{left}"{label}"{right}'
        if parent:
            yield f"  {parent} --> {name}"
        yield from _arrows(node.children, name, numbers)

"""`headrace demo --read-side`: documents of the played hands in other systems, each compared with a fold of the log."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from headrace.cli.errors import ENVIRONMENT, USAGE, Failure
from headrace.connectors.connect.client import ConnectClient
from headrace.connectors.connect.deployment import Deployed
from headrace.connectors.connect.progress import begin, make_topics
from headrace.connectors.sinks import Sink, Sinks
from headrace.connectors.targets import targets
from headrace.embedded import EmbeddedConnect
from headrace.embedded.process import Process
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import read_side
from headrace.examples.poker.demo import indexed
from headrace.examples.poker.demo.cluster import command_line
from headrace.examples.poker.demo.folds import Document, Logs, Told, expected, unlike
from headrace.examples.poker.demo.screen import Screen
from headrace.examples.poker.demo.systems import Systems
from headrace.examples.poker.projectors import HandFact, PlayerCards
from headrace.examples.poker.sinks import sinks
from headrace.streams.admin.projections import NotReady, Target, await_current
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets, partitions_of, read
from headrace.topology.projector import version_name

TOPOLOGY = "headrace.examples.poker.sinks:read_side"
_PATIENCE = 120.0
"""Seconds that projectors, and then each system, may take once all hands are played."""
PROGRAM = Path(__file__).with_name("on_fakesnow.py")
"""Runs where fakesnow is."""
_DOMAINS = "player", "hand", "table"
_PACKAGE = "poker.v1."
Found = Mapping[str, Document]


@dataclass(slots=True)
class Compared:
    """Documents that were found, and those that are as the log says; None for a system that is not there."""

    documents: int = 0
    documents_matched: int = 0
    search: int | None = None
    search_matched: int | None = None
    redis: int | None = None
    redis_matched: int | None = None
    snowflake_sql: str = ""
    """`ran`, or why not."""
    seconds: float = 0.0
    """From the first command until every system had everything."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a system is not there, and how to get it."""
    mismatched: list[str] = field(default_factory=list)
    """Where, which document, and how it differs."""

    def take(self, where: str, found: Found, wanted: Found) -> int:
        """Note what differs; how many documents do not."""
        wrong = {name: unlike(found.get(name), wanted.get(name)) for name in {**wanted, **found}}
        self.mismatched += [f"{where}: {name}: {why}" for name, why in wrong.items() if why]
        return sum(not wrong[name] for name in found)


@dataclass(frozen=True, slots=True)
class Feed:
    """One sink that runs: how far it is can be asked of its target."""

    sink: Sink
    target: Target


@contextmanager
def feeding(settings: Settings, there: Systems, folder: Path, screen: Screen) -> Iterator[list[Feed]]:
    """Sinks for the systems that are there, at work. Afterwards, what they have brought there is gone."""
    with ExitStack() as stack:
        feeds = []
        for sink in sinks:
            if sink.kind == "search" and there.search:
                feeds.append(stack.enter_context(_searched(settings, sink, folder, screen)))
            elif sink.kind == "redis" and there.redis:
                feeds.append(stack.enter_context(_in_redis(settings, sink, folder)))
        yield feeds


@contextmanager
def _searched(settings: Settings, sink: Sink, folder: Path, screen: Screen) -> Iterator[Feed]:
    from headrace.connectors.search.plugin import plugin

    group = f"{settings.prefix}connect"
    path = [plugin().parent]
    with EmbeddedConnect(settings.bootstrap, path, group=group, folder=folder / "connect") as connect:
        screen.say(f"Kafka Connect runs on {connect.url}")
        client = ConnectClient(connect.url)
        deployed = Deployed.look(client, Sinks(sink), settings.names, settings.edition)
        deployed.deploy(lambda names: make_topics(settings, names), lambda one: begin(settings, one))
        feed = Feed(sink, _target(sink, settings, client))
        try:
            yield feed
        finally:
            feed.target.drop()


@contextmanager
def _in_redis(settings: Settings, sink: Sink, folder: Path) -> Iterator[Feed]:
    arguments = command_line(["sinks", "redis"], settings, TOPOLOGY, 0)
    process = Process("the writer of Redis", arguments, folder / "redis.log", detached=False)
    feed = Feed(sink, _target(sink, settings, None))
    try:
        yield feed
    finally:
        process.kill()
        feed.target.drop()


def _target(sink: Sink, settings: Settings, client: ConnectClient | None) -> Target:
    def asked() -> ConnectClient:
        if client is None:
            raise TypeError(f"a sink for {sink.kind} needs Connect")
        return client

    (one,) = targets(Sinks(sink), settings, sink.projector.name, sink.projector.version, asked)
    return one


def compare(settings: Settings, there: Systems, feeds: Sequence[Feed], started: float) -> Compared:
    """Wait until everything is everywhere, and hold each document against the log.

    `started` is of `time.perf_counter`. Raises Failure when something does not get there.
    """
    found = Compared(left_out=there.left_out)
    await_everything(settings, feeds)
    found.seconds = time.perf_counter() - started
    wanted = expected(_logs(settings))
    for name, versions in read_side.projectors.items():
        for version in versions:
            documents = _documents(settings, version_name(name, version))
            found.documents += len(documents)
            found.documents_matched += found.take(name, documents, wanted[name])
    for feed in feeds:
        name = feed.sink.projector.name
        if feed.sink.kind == "search":
            (index,) = (one.index for one in Sinks(feed.sink).render(settings.names, settings.edition) if one.index)
            hits = indexed.documents(index)
            found.search, found.search_matched = len(hits), found.take("search", hits, wanted[name])
            found.mismatched += indexed.wrong_answers(index, wanted[name])
        else:
            cards = _cards(settings, wanted[name])
            found.redis, found.redis_matched = len(cards), found.take("redis", cards, wanted[name])
    found.snowflake_sql = there.left_out.get("snowflake", "")
    if there.fakesnow:
        found.take("snowflake", _rows(settings, there.fakesnow), wanted["hand-facts"])
        found.snowflake_sql = "ran"
    return found


def await_everything(settings: Settings, feeds: Sequence[Feed]) -> None:
    """Wait until projectors have handled all events, and sinks have all of their documents."""
    for name, versions in read_side.projectors.items():
        for version in versions:
            try:
                await_current(settings, read_side, name, version, _PATIENCE)
            except NotReady as error:
                raise Failure(ENVIRONMENT, str(error)) from None
    for feed in feeds:
        projector = feed.sink.projector
        topic = settings.names.topic(settings.edition, version_name(projector.name, projector.version), "documents")
        ends = end_offsets(settings, partitions_of(settings, topic))
        if not feed.target.await_passed(ends, time.monotonic() + _PATIENCE):
            raise Failure(ENVIRONMENT, f"{feed.target.name} did not have all of {topic} within {_PATIENCE:g} s")


def _logs(settings: Settings) -> Logs:
    logs: dict[str, dict[str, list[Told]]] = {domain: {} for domain in _DOMAINS}
    for domain, roots in logs.items():
        for message in read(settings, settings.names.topic(settings.edition, domain, "events")):
            headers: dict[str, Any] = dict(message.headers() or ())
            kind = getattr(pb, headers["ce_type"].decode().removeprefix(_PACKAGE))
            told = Told(kind.FromString(message.value() or b""), headers["ce_time"].decode())
            roots.setdefault((message.key() or b"").decode().rpartition("|")[0], []).append(told)
    return logs


def _documents(settings: Settings, component: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for message in read(settings, settings.names.topic(settings.edition, component, "documents")):
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = json.loads(value)
    return found


def _cards(settings: Settings, players: Mapping[str, Document]) -> dict[str, Document]:
    """Each by a read of its own, as a program would do it."""
    from headrace.connectors.redis import Documents

    with Documents(settings=settings) as reader:
        cards = {player: reader.get(PlayerCards, player) for player in players}
    return {player: msgspec.to_builtins(card) for player, card in cards.items() if card is not None}


def _rows(settings: Settings, python: Path) -> dict[str, Document]:
    """The rows of Snowflake's view, with its table filled as the connector would fill it."""
    (one,) = (one for one in sinks.render(settings.names, settings.edition) if one.source.kind == "snowflake")
    rows = []
    for message in read(settings, one.source.topic):
        place = {"topic": one.source.topic, "partition": message.partition(), "offset": message.offset()}
        content = json.loads(message.value() or b"{}")
        rows.append(({**place, "key": (message.key() or b"").decode()}, content))
    where = f"{one.config['snowflake.database.name']}.{one.config['snowflake.schema.name']}"
    given = {
        "statements": [*one.sql, *one.serving],
        "table": f"{where}.{one.config['snowflake.topic2table.map'].rpartition(':')[2]}",
        "rows": rows,
        "query": f"SELECT * FROM {where}.{one.source.projector.name.replace('-', '_').upper()}",
    }
    command = [str(python), "-W", "ignore", str(PROGRAM)]
    try:
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(USAGE, f"--fakesnow: {python} cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-5:]
        raise Failure(ENVIRONMENT, "\n  ".join(["the SQL for Snowflake could not be run on fakesnow:", *lines]))
    fields = [one.name for one in dataclasses.fields(HandFact)]
    return {row["DOCUMENT_ID"]: {name: row[name] for name in fields} for row in json.loads(done.stdout)}

"""The search sink beside Kafka's own file sink: documents a second, and Connect's processor time for each.

Both read the same topic, in one Connect worker, in turn. The server is yours: Headrace brings none.
"""

import json
import time
import urllib.request
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.bench.load import Progress, at_least, median
from headrace.connectors.search.plugin import CONNECTOR, plugin
from headrace.embedded import EmbeddedConnect
from headrace.embedded.jars import cache_folder, fetch_jars

TARGETS = {"search_cpu_us": "< 60"}
_PATIENCE = 300.0  # seconds without any progress, after which a sink is taken to be stuck
_COMMON = {
    "tasks.max": "2",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    "consumer.override.isolation.level": "read_committed",
    "consumer.override.max.poll.records": "2000",
}


def search_sink(
    progress: Progress, bootstrap: str, url: str, *, documents: int = 100_000, rounds: int = 3, partitions: int = 6
) -> dict[str, Any]:
    """Search, file, file, search, …; a first round warms the worker up and is not counted.

    `url` is that of an OpenSearch or Elasticsearch without users, where indices are made and deleted.
    """
    at_least("rounds", rounds, 1)
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=partitions)])[topic].result(30)
    size = _fill(bootstrap, topic, documents)
    wall: dict[str, list[float]] = {"search": [], "file": []}
    cpu: dict[str, list[float]] = {"search": [], "file": []}
    plugins = [plugin().parent, _file_sink()]
    with TemporaryDirectory() as folder, EmbeddedConnect(bootstrap, plugins, group=f"{topic}-connect") as connect:
        for turn in range(rounds + 1):
            for kind in sorted(wall, reverse=turn % 2 == 0):
                name = f"{topic}-{kind}-{turn}"
                own = {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector"}
                if kind == "search":
                    _ask(url, "PUT", name, _INDEX)
                    own = {"connector.class": CONNECTOR, "connection.url": url, "index": name}
                else:
                    own["file"] = str(Path(folder, name))
                seconds, busy = _drain(connect, bootstrap, name, topic, partitions, own | _COMMON | {"topics": topic})
                if kind == "search":
                    _check(url, name, documents)
                if turn:
                    wall[kind].append(documents / seconds)
                    cpu[kind].append(busy / documents * 1e6)
            if turn:
                progress(
                    f"round {turn} of {rounds}: search {wall['search'][-1]:,.0f}, file {wall['file'][-1]:,.0f} "
                    f"documents per second; {cpu['search'][-1]:.0f} and {cpu['file'][-1]:.0f} µs of Connect for each"
                )
    admin.delete_topics([topic])[topic].result(30)
    return {
        "bench": "search_sink",
        "what": f"{documents:,} documents of {size} bytes in {partitions} partitions into one index, by 2 tasks, in "
        "requests of up to 2,000; against Kafka's own file sink on the same records in the same Connect worker",
        "how": f"in turn, {rounds} rounds after one that is not counted; medians; from the connector's creation until "
        "all offsets are committed, which happens every second; cpu_us is processor time of the worker per document",
        "search_per_second": round(median(wall["search"])),
        "file_per_second": round(median(wall["file"])),
        "search_cpu_us": round(median(cpu["search"]), 1),
        "file_cpu_us": round(median(cpu["file"]), 1),
        "search_cpu_rounds": [round(x, 1) for x in cpu["search"]],
        "file_cpu_rounds": [round(x, 1) for x in cpu["file"]],
    }


_INDEX = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "30s"},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "name": {"type": "keyword"},
            "chips": {"type": "long"},
            "hands": {"type": "long"},
            "won": {"type": "long"},
            "tables": {"type": "keyword"},
        },
    },
}


def _fill(bootstrap: str, topic: str, documents: int) -> int:
    """Documents of different keys, each with the headers of Headrace; the size of one in bytes."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "linger.ms": 20})
    producer.init_transactions(30)
    producer.begin_transaction()
    size = 0
    for number in range(documents):
        key = f"player-{number}"
        document = {"name": key, "chips": number * 7, "hands": number % 500, "won": number % 90}
        value = json.dumps({**document, "tables": [f"table-{number % 40}", f"table-{number % 41}"]}).encode()
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", f"{key}:{number}"),
            ("ce_source", "/main/player-cards-v1"),
            ("ce_type", "PlayerCard"),
            ("content-type", "application/json"),
        ]
        while True:
            try:
                producer.produce(topic, value, key.encode(), headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        size = max(size, len(value))
    producer.commit_transaction(60)
    return size


def _file_sink() -> Path:
    folder = cache_folder() / "connect-file-4.3.1"
    if not folder.exists():
        fetch_jars(folder, Path(__file__).with_name("jars.txt"), "Kafka's file sink", "20 kB")
    return folder


def _drain(
    connect: EmbeddedConnect, bootstrap: str, name: str, topic: str, partitions: int, config: dict[str, str]
) -> tuple[float, float]:
    """Seconds, and processor seconds of the worker, until a new connector has read all of the topic."""
    (pid,) = connect.pids
    worker = psutil.Process(pid)
    with Consumer({"bootstrap.servers": bootstrap, "group.id": f"connect-{name}"}) as reader:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        # The last record of a transaction is its end, which no sink gets to see.
        ends = [reader.get_watermark_offsets(place, 20)[1] - 1 for place in places]
        started, before = time.perf_counter(), worker.cpu_times()
        _ask(connect.url, "PUT", f"connectors/{name}/config", config)
        last, seen = -1, time.monotonic()
        while True:
            offsets = [max(place.offset, 0) for place in reader.committed(places, 20)]
            if all(offset >= end for offset, end in zip(offsets, ends, strict=True)):
                break
            if sum(offsets) != last:
                last, seen = sum(offsets), time.monotonic()
            elif time.monotonic() - seen > _PATIENCE:
                raise TimeoutError(f"{name} did not go on for {_PATIENCE:g} s; see {connect.logs[0]}")
            time.sleep(0.1)
        seconds, after = time.perf_counter() - started, worker.cpu_times()
        _ask(connect.url, "DELETE", f"connectors/{name}")
    return seconds, after.user + after.system - before.user - before.system


def _check(url: str, index: str, documents: int) -> None:
    _ask(url, "POST", f"{index}/_refresh")
    found = _ask(url, "GET", f"{index}/_count")["count"]
    if found != documents:
        raise RuntimeError(f"{found} of {documents} documents are in the index {index}")
    _ask(url, "DELETE", index)


def _ask(url: str, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(f"{url}/{path}", method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None

"""The image and the compose file, as their README has them: commands, a crash, one worker more, the end."""

import datetime
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.embedded.broker import free_ports
from tests.support import deadlines
from tests.support.deployment import until
from tests.support.docker_engine import docker
from tests.support.http_json import ask

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]  # the first build fetches all that is locked

ROOT = Path(__file__).resolve().parents[2]
POKER = "headrace.examples.poker:topology"


class Compose:
    """The services of docker/compose.yaml under a name of their own, apart from those that someone works with."""

    def __init__(self, kafka_image: str) -> None:
        self.project = f"headrace-test-{uuid.uuid4().hex[:8]}"
        self.port = free_ports(1)[0]
        self.variables = {
            "KAFKA_IMAGE": kafka_image,
            "KAFKA_PORT": str(self.port),
            "HEADRACE_IMAGE": "headrace-test",
            "HEADRACE_CONNECT_IMAGE": "headrace-connect-test",
        }

    def __call__(self, *arguments: str, seconds: float = 120) -> str:
        file = str(ROOT / "docker/compose.yaml")
        return docker(
            *("compose", "--project-name", self.project, "--file", file, *arguments),
            seconds=seconds,
            variables=self.variables,
        )

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self("ps", "--all", "--quiet", service).splitlines()

    def send(self, *arguments: str) -> dict[str, Any]:
        """The reply to a command that the command line sends from outside."""
        command = [sys.executable, "-m", "headrace.cli.main", "send", *arguments, "--json", "--timeout", "30"]
        environment = os.environ | {
            "HEADRACE_BOOTSTRAP": f"localhost:{self.port}",
            "HEADRACE_TOPOLOGY": POKER,
        }
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        reply: dict[str, Any] = json.loads(done.stdout)
        return reply


@pytest.fixture(scope="module")
def compose(kafka_image: str) -> Iterator[Compose]:
    """All services, up and ready."""
    compose = Compose(kafka_image)
    try:
        try:
            compose("up", "--build", "--detach", "--wait", seconds=600)
            yield compose
        finally:
            print(compose("--profile", "sinks", "logs", "--no-color", "--tail", "50"))  # noqa: T201  (pytest shows it when a test fails)
    finally:
        compose("--profile", "sinks", "down", "--volumes", "--timeout", "5")


def inspect(container: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def healthy(container: str) -> bool:
    """Whether its health check has passed since its last start."""
    state = inspect(container)["State"]
    return bool(state["Running"] and state["Health"]["Status"] == "healthy")


def test_commands_from_a_container_and_from_outside(compose: Compose) -> None:
    inside = compose("run", "--rm", "--no-TTY", "cli", "send", "RegisterPlayer", "ann", '{"name": "Ann"}', "--json")
    assert json.loads(inside)["status"] == "accepted"
    outside = compose.send("DepositFunds", "ann", '{"amount": 500}')
    assert (outside["status"], outside["sequence"]) == ("accepted", 1)


def test_the_worker_is_no_root_and_writes_only_to_its_volume(compose: Compose) -> None:
    (player,) = compose.containers("player")
    assert docker("exec", player, "id", "-u") == "10001"
    assert docker("exec", player, "sh", "-c", "touch /opt/headrace/x || echo refused") == "refused"
    (mount,) = inspect(player)["Mounts"]
    assert (mount["Destination"], mount["Name"]) == ("/var/lib/headrace", f"{compose.project}_player")
    assert docker("exec", player, "ls", "/var/lib/headrace/0/player")


def test_a_worker_that_crashes_comes_back(compose: Compose) -> None:
    (player,) = compose.containers("player")
    docker("exec", player, "sh", "-c", "kill -9 -1")  # everything but process 1, which only passes signals on
    until(lambda: inspect(player)["RestartCount"] >= 1, "Docker had started it again")
    reply = compose.send("DepositFunds", "ann", '{"amount": 5}')
    assert (reply["status"], reply["sequence"]) == ("accepted", 2)
    assert reply["events"][0]["data"]["newBalance"] == "505"
    until(lambda: healthy(player), "it was healthy again")


def test_one_worker_more(compose: Compose) -> None:
    compose("up", "--detach", "--wait", "--no-recreate", "--scale", "player=2", "player")
    players = compose.containers("player")
    assert len(players) == 2
    assert all(healthy(player) for player in players)
    assert docker("exec", players[0], "sh", "-c", "cd /var/lib/headrace && ls -d [0-9]*").split() == ["0", "1"]


def test_sigterm_ends_all_workers_in_order_and_soon(compose: Compose) -> None:
    workers = [*compose.containers("player"), *compose.containers("hand")]
    asked = datetime.datetime.now(datetime.UTC)
    docker("kill", "--signal", "TERM", *workers)
    for worker in workers:
        assert docker("wait", worker) == "0"
        state = inspect(worker)["State"]
        ended = datetime.datetime.fromisoformat(state["FinishedAt"])
        assert (ended - asked).total_seconds() < deadlines.seconds(5)


def test_sigterm_ends_a_worker_that_has_not_found_its_brokers(compose: Compose) -> None:
    env = ("--env", "HEADRACE_BOOTSTRAP=localhost:1", "--env", f"HEADRACE_TOPOLOGY={POKER}")
    worker = docker("run", "--detach", "--init", *env, "headrace-test")
    try:
        until(lambda: "headrace" in docker("top", worker, "-o", "pid,args"), "it had started")
        docker("stop", "--time", "5", worker)
        assert inspect(worker)["State"]["ExitCode"] != 137
    finally:
        docker("rm", "--force", "--volumes", worker)


# ---- the profile for sinks


class SearchServer(BaseHTTPRequestHandler):
    """As much of a search server as the sink needs for one document."""

    written: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self.written.extend(self.rfile.read(int(self.headers["Content-Length"])).splitlines())
        self._answer({"errors": False})

    def _answer(self, said: dict[str, Any]) -> None:
        text = json.dumps(said, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture(scope="module")
def search(compose: Compose) -> Iterator[str]:
    """The address of a search server as containers reach it: this machine is the gateway of their network."""
    (network,) = json.loads(docker("network", "inspect", f"{compose.project}_default"))
    gateway = network["IPAM"]["Config"][0]["Gateway"]
    with ThreadingHTTPServer((gateway, 0), SearchServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{gateway}:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def connect(compose: Compose, search: str) -> str:
    """Where the REST interface of the Connect worker is, which knows the search server's address."""
    compose.variables["SEARCH_URL"] = search
    compose("--profile", "sinks", "up", "--build", "--detach", "--wait", "--no-recreate", "connect", seconds=600)
    return f"http://{compose('--profile', 'sinks', 'port', 'connect', '8083')}"


@pytest.mark.usefixtures("connect")
def test_connect_is_no_root_writes_nothing_and_is_for_this_machine_alone(compose: Compose) -> None:
    (container,) = compose.containers("connect")
    assert healthy(container)
    assert docker("exec", container, "id", "-u") == "1000"
    assert docker("exec", container, "sh", "-c", "touch /opt/kafka/config/x || echo refused") == "refused"
    host = inspect(container)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["PortBindings"]["8083/tcp"][0]["HostIp"] == "127.0.0.1"


def test_a_document_goes_through_connect_into_a_search_server(compose: Compose, connect: str) -> None:
    """Compressed as workers do it: Java unpacks the library for that, in a container that is read-only."""
    topic = "cards-v1.documents"
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": f"localhost:{compose.port}"}
    admin = AdminClient(client)
    admin.create_topics([NewTopic(topic, 1, config={"cleanup.policy": "compact"})])[topic].result(30)
    producer = Producer({**client, "compression.type": "zstd"})
    producer.produce(topic, b'{"name": "Ann"}', b"ann")
    assert producer.flush(30) == 0
    config = {
        "connector.class": "dev.headrace.search.SearchSinkConnector",
        "topics": topic,
        "index": "cards-v1",
        "connection.url": "${env:SEARCH_URL}",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "consumer.override.isolation.level": "read_committed",
    }
    status, answer = ask("PUT", f"{connect}/connectors/cards/config", config)
    assert status == 201, answer
    until(lambda: b'{"name": "Ann"}' in SearchServer.written, "the document arrived", 60)


def test_connect_names_no_file_but_its_secrets_and_ends_in_order(compose: Compose, connect: str) -> None:
    config = {
        "connector.class": "dev.headrace.search.SearchSinkConnector",
        "topics": "x",
        "index": "x",
        "connection.url": "${file:/opt/headrace/connect.properties:group.id}",
    }
    status, answer = ask("PUT", f"{connect}/connector-plugins/SearchSinkConnector/config/validate", config)
    assert "headrace-connect" not in json.dumps(answer), status
    (container,) = compose.containers("connect")
    docker("kill", "--signal", "TERM", container)
    assert docker("wait", container) == "143", "Java's own code for SIGTERM"

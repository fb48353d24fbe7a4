"""The shell sessions of README and docs, on a real broker: what they show is what one gets."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType
from confluent_kafka.admin import ResourceType as Kind

from headrace.embedded import EmbeddedKafka
from headrace.embedded.broker import free_ports
from headrace.embedded.settings import HOST, Node, Plan
from tests.support.deployment import until
from tests.support.pages import PAGES, ROOT, blocks, commands, write_files

pytestmark = pytest.mark.kafka

SESSIONS = [page for page in PAGES if any("kafka" in block.words for block in blocks(page))]


class Shell:
    """A folder, and an environment in which a page's commands mean this broker and topics of the test's own."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str, **variables: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.log = folder / "worker.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        self.environment = clean | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HEADRACE_BOOTSTRAP": bootstrap,
            "HEADRACE_PREFIX": prefix,
            "HEADRACE_PARTITIONS": "3",
            "HEADRACE_REPLY_PARTITIONS": "2",
            **variables,
        }

    def run(self, command: str) -> str:
        """What a command says on stdout and stderr, without the test's own prefix."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.stdout.replace(self.prefix, "")

    @contextmanager
    def worker(self, *options: str) -> Iterator[None]:
        """A worker, ready; stopped in order at the end."""
        (port,) = free_ports(1)
        environment = self.environment | {"HEADRACE_WEB_PORT": str(port)}
        command = ["headrace", "worker", *options]
        with self.log.open("w") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stderr=log)

        def ready() -> bool:
            assert process.poll() is None, self.log.read_text()
            return subprocess.run(["curl", "-sf", f"http://{HOST}:{port}/readyz"], capture_output=True).returncode == 0

        try:
            until(ready, f"the worker was ready; see {self.log}", 60)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, self.log.read_text()


def matches(output: str, shown: list[str]) -> bool:
    """Whether an output is what a page shows, where … stands for anything."""
    pattern = "\n".join(re.escape(line.rstrip()).replace("…", ".*") for line in shown)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in output.strip("\n").splitlines())) is not None


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_the_shell_sessions_of_a_page(page: Path, bootstrap: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    named = re.findall(r"^(?:\$ )?export .*HEADRACE_TOPOLOGY=([\w.]+:\w+)", page.read_text(), re.MULTILINE)
    variables = {"HEADRACE_TOPOLOGY": named[0]} if named else {}
    shell = Shell(tmp_path, bootstrap, f"docs-{uuid4().hex[:8]}.", **variables)
    for block in blocks(page):
        if "compile" in block.words:
            assert shell.run(block.text) == ""
    session = [step for block in blocks(page) if "kafka" in block.words for step in commands(block)]
    if not session[0][0].startswith("headrace topics create"):
        session.insert(0, ("headrace topics create > topics.txt", []))
    wrong = []

    def play(command: str, shown: list[str]) -> None:
        output = shell.run(command)
        if not matches(output, shown):
            wrong.append(f"$ {command}\n--- shown\n{chr(10).join(shown)}\n--- got\n{output}")

    play(*session[0])
    with shell.worker():
        for command, shown in session[1:]:
            play(command, shown)
    assert not wrong, "\n\n".join(wrong)


def acl(command: str) -> list[AclBinding]:
    """What a line of kafka-acls.sh adds."""
    words = shlex.split(command)
    assert words[:2] == ["kafka-acls.sh", "--add"]
    options: dict[str, list[str]] = {}
    for option, value in zip(words[2::2], words[3::2], strict=True):
        options.setdefault(option, []).append(value)
    (principal,) = options["--allow-principal"]
    prefixed = options.get("--resource-pattern-type") == ["prefixed"]
    names = {"--topic": Kind.TOPIC, "--group": Kind.GROUP, "--transactional-id": Kind.TRANSACTIONAL_ID}
    ((kind, name),) = [(kind, options[option][0]) for option, kind in names.items() if option in options]
    pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    return [
        AclBinding(
            kind,
            name,
            pattern,
            principal,
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            AclPermissionType.ALLOW,
        )
        for operation in options["--operation"]
    ]


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EmbeddedKafka, str]]:
    """A broker with a second listener, where each user has a name and may do what ACLs allow; and its address."""
    address = f"{HOST}:{free_ports(1)[0]}"
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    users = " ".join(f'user_{name}="{secret}"' for name, secret in SECRETS.items())
    settings = Plan.properties

    def properties(plan: Plan, node: Node) -> dict[str, str]:
        own = settings(plan, node)
        for key, more in (
            ("listeners", f"NAMED://{address}"),
            ("advertised.listeners", f"NAMED://{address}"),
            ("listener.security.protocol.map", "NAMED:SASL_PLAINTEXT"),
        ):
            own[key] += f",{more}"
        return own | {
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.named.plain.sasl.jaas.config": f"{plain} required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    monkeypatch.setattr(Plan, "properties", properties)
    with EmbeddedKafka() as kafka:
        yield kafka, address


SECRETS = {"ops": "first-secret", "worker": "second-secret", "client": "third-secret"}


def test_the_acls_are_enough_and_secrets_stay_secret(guarded: tuple[EmbeddedKafka, str], tmp_path: Path) -> None:
    """Makes topics, works, restores, sends and reads, each as a user who may do only what the page gives him."""
    kafka, address = guarded
    (block,) = (block for block in blocks(ROOT / "docs/operating.md") if block.language == "acl")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.create_acls([rule for line in block.text.splitlines() for rule in acl(line)]).values():
        future.result()

    def user(name: str) -> Shell:
        return Shell(
            tmp_path,
            address,
            "shop.",
            HEADRACE_TOPOLOGY="headrace.examples.poker:topology",
            HEADRACE_KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
            HEADRACE_KAFKA__SASL_MECHANISM="PLAIN",
            HEADRACE_KAFKA__SASL_USERNAME=name,
            HEADRACE_KAFKA__SASL_PASSWORD=SECRETS[name],
        )

    said = [user("ops").run("headrace topics create --domain player")]
    assert said[0].count("created") == 7, said[0]
    client, worker = user("client"), user("worker")
    for command, answer in (
        ('headrace send RegisterPlayer mike \'{"name": "Mike"}\'', "accepted"),
        ("headrace events mike --domain player", "PlayerRegistered"),  # by a worker that had to restore
    ):
        with worker.worker("--domain", "player"):
            said.append(client.run(command))
        said.append(worker.log.read_text())
        assert answer in said[-2], said[-2]
        assert "AUTHORIZATION" not in said[-1], said[-1]
        shutil.rmtree(tmp_path / ".headrace")
    assert not [secret for secret in SECRETS.values() if secret in "".join(said)]

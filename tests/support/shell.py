"""Commands as a person types them, in a folder, with the settings of a deployment of the test's own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headrace.embedded.broker import free_ports
from headrace.embedded.settings import HOST
from tests.support.deployment import until


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
    def worker(self, *options: str, name: Sequence[str] = ("worker",)) -> Iterator[None]:
        """A worker, or another command that serves /readyz, ready; stopped in order at the end."""
        (port,) = free_ports(1)
        environment = self.environment | {"HEADRACE_WEB_PORT": str(port)}
        command = ["headrace", *name, *options]
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

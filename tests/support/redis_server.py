"""A real redis-server: the one that is installed, else Debian's, fetched once into the cache of the embedded Kafka."""

import functools
import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pytest
import redis

from headrace.embedded.broker import free_ports
from headrace.embedded.jars import cache_folder
from tests.support import deadlines
from tests.support.deployment import until

_PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")


@functools.cache
def _command() -> tuple[str, dict[str, str]]:
    """The server's program, and the variables that it needs; skips the test where it cannot be had."""
    if found := shutil.which("redis-server"):
        return found, {}
    folder = cache_folder() / "redis-debian"
    if not folder.exists():
        _fetch(folder)
    libraries = sorted({str(library.parent) for library in folder.rglob("*.so*")})
    return str(folder / "usr/bin/redis-server"), {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _fetch(folder: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("no redis-server here, and no apt-get to fetch Debian's")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        # a machine that was just made has no lists of packages, or lists that name files which are gone
        if (trouble := _run("apt-get", "download", *_PACKAGES, folder=temporary)) and (
            trouble := _run("apt-get", "update", folder=temporary)
            or _run("apt-get", "download", *_PACKAGES, folder=temporary)
        ):
            pytest.skip(f"no redis-server here, and Debian's cannot be fetched: {trouble}")
        whole = Path(temporary, "whole")
        for package in Path(temporary).glob("*.deb"):
            assert not _run("dpkg", "-x", str(package), str(whole), folder=temporary)
        try:
            whole.rename(folder)
        except OSError:
            assert folder.exists(), "another process has fetched it"


def _run(*command: str, folder: str) -> str:
    """The last line of what went wrong; empty when nothing did."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


class RedisServer:
    """A server in a folder of its own; it can be killed, and started again with the data that it then finds there."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        program, variables = _command()
        command = (program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "")
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                (*command, *self._options), env=os.environ | variables, stdout=log, stderr=log
            )
        until(self._answers, "redis-server answered")
        return self

    def client(self) -> Any:
        """A client that knows nothing of Headrace."""
        return redis.Redis(port=self.port)

    def save(self) -> bytes:
        """A copy of all that it has now, for `restore`."""
        with self.client() as client:
            client.save()
        return (self.folder / "dump.rdb").read_bytes()

    def restore(self, dump: bytes | None) -> None:
        """Let its next start find this copy; nothing with None."""
        file = self.folder / "dump.rdb"
        file.unlink(missing_ok=True)
        if dump is not None:
            file.write_bytes(dump)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, if it runs."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(deadlines.seconds(20))
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
        try:
            with self.client() as client:
                answer: Any = client.ping()
        except redis.RedisError:
            return False
        return bool(answer)


class RedisCluster:
    """Three servers that share the slots."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(3)
        options = ("--cluster-enabled", "yes", "--cluster-port")
        self.nodes = [RedisServer(folder / str(number), *options, str(bus)) for number, bus in enumerate(ports)]
        self._buses = ports
        self.url = self.nodes[0].url

    def start(self) -> Self:
        """Start them, and wait until each knows that all slots are served."""
        bounds = [0, 5461, 10923, 16384]
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            with node.start().client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        with self.nodes[0].client() as client:
            for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
                client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
        until(lambda: all(map(self._complete, self.nodes)), "the cluster was complete")
        return self

    def client(self) -> Any:
        """A client of all of them that knows nothing of Headrace."""
        return redis.RedisCluster(host="127.0.0.1", port=self.nodes[0].port)

    def stop(self) -> None:
        """End them."""
        for node in self.nodes:
            node.stop()

    @staticmethod
    def _complete(node: RedisServer) -> bool:
        with node.client() as client:
            about = client.execute_command("CLUSTER INFO")
            slots = client.execute_command("CLUSTER SLOTS")
        return bool(about["cluster_state"] == "ok" and about["cluster_known_nodes"] == "3" and len(slots) == 3)

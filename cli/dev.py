"""`headrace dev`: Kafka, topics and a worker, which restarts when a file changes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.deployment import Deployment, deployed

_LOOK = 0.3  # seconds between two looks at the files
_STOP_WITHIN = 20.0
_WATCHED = (".py", ".pyi", ".proto")


@deployed
def dev(
    deployment: Deployment,
    web_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the web server; 0 takes a free one.")] = 6066,
) -> None:
    """Run what you are working on: a Kafka of its own, the topics, a worker.

    The worker starts anew when a Python or .proto file below this folder changes. Brokers that are named by --bootstrap
    or HEADRACE_BOOTSTRAP are used, and left alone. Until Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), _kafka(deployment) as bootstrap:
        environment = {**os.environ, "HEADRACE_BOOTSTRAP": bootstrap, "HEADRACE_TOPOLOGY": deployment.reference}
        seen = _files()
        while True:
            with _worker(environment, web_port):
                while (now := _files()) == seen:
                    time.sleep(_LOOK)
            changed = sorted(str(path) for path in now.keys() | seen.keys() if now.get(path) != seen.get(path))
            typer.echo(f"changed: {', '.join(changed[:5])}; starting anew", err=True)
            seen = now


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _worker(environment: dict[str, str], web_port: int) -> Iterator[None]:
    """Topics and a worker, as programs of their own each time, so that they see the code as it is now."""
    program = [sys.executable, "-m", "headrace.cli.main"]
    if subprocess.run([*program, "topics", "create"], env=environment, check=False).returncode != 0:
        typer.echo("waiting for a change", err=True)
        yield
        return
    worker = subprocess.Popen([*program, "worker", "--web-port", str(web_port)], env=environment)
    try:
        yield
    finally:
        worker.terminate()
        try:
            worker.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@contextmanager
def _kafka(deployment: Deployment) -> Iterator[str]:
    """The brokers to use; those of `headrace kafka` in this folder are started, and stopped in the end, if need be."""
    named = deployment.settings(own_kafka=False).bootstrap
    if named:
        yield named
        return
    from headrace.cli.kafka import home
    from headrace.embedded.detached import Detached

    own = Detached(home())
    if (running := own.state()) is not None:
        yield running.bootstrap
        return
    with own.make(None, 0, None, detached=False) as kafka:
        own.write(kafka)
        typer.echo(f"Kafka runs on {kafka.bootstrap}; `headrace` in this folder finds it", err=True)
        try:
            yield kafka.bootstrap
        finally:
            own.forget()


def _files() -> dict[Path, float]:
    """When each watched file was changed last."""
    found: dict[Path, float] = {}
    for folder, folders, names in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        for name in names:
            if name.endswith(_WATCHED):
                path = Path(folder, name)
                try:
                    found[path] = path.stat().st_mtime
                except FileNotFoundError:  # deleted since it was listed
                    continue
    return found

"""`headrace connect start`, `stop` and `plugin`: a Kafka Connect of one's own, and our plug-in for any other."""

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, on_cluster
from headrace.cli.errors import ENVIRONMENT, NO, USAGE, Failure, reported

if TYPE_CHECKING:
    from headrace.embedded import EmbeddedConnect
    from headrace.embedded.detached import Detached, State

PORT = 8083
"""Where a Connect worker listens by default."""


@on_cluster
def start(
    deployment: Deployment,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of its REST interface; 0 takes a free one.")] = PORT,
    plugins: Annotated[
        list[Path] | None,
        typer.Option("--plugins", metavar="FOLDER", help="With jars of more plug-ins; may be given several times."),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until Ctrl-C instead of returning.")] = False,
    as_json: Json = False,
) -> None:
    """Start a Connect worker on this machine, with Headrace's search sink, or say that it runs.

    For development and tests: anyone on this machine may use it. Connectors of an earlier start are there again.
    """
    from headrace.embedded.detached import Detached

    worker = Detached(home())
    running = worker.state()
    bootstrap = deployment.settings().bootstrap
    if not bootstrap:
        raise Failure(
            ENVIRONMENT, "no brokers named; set HEADRACE_BOOTSTRAP or --bootstrap, or run headrace kafka start"
        )
    if running is not None:
        if foreground:
            raise Failure(NO, f"{_runs(running)}; stop it first: headrace connect stop")
        if running.bootstrap != bootstrap:
            raise Failure(NO, f"{_runs(running)}, not for {bootstrap}; stop it first: headrace connect stop")
        _say({**_shown(running), "fresh": False}, _runs(running), as_json)
        return
    before = time.monotonic()
    connect = _make(bootstrap, port, plugins or [], detached=not foreground)
    if foreground:
        _stay(worker, connect, as_json)
        return
    state = worker.write(connect.start())
    took = f"started in {time.monotonic() - before:.1f} s"
    text = f"Connect runs on {_url(state)} ({took})\nlog: {state.logs[0]}\nstop it with: headrace connect stop"
    _say({**_shown(state), "fresh": True}, text, as_json)


def stop(as_json: Json = False) -> None:
    """Stop the Connect worker of this folder. Its connectors stay, in Kafka. No error if it does not run."""
    with reported(as_json):
        from headrace.embedded.detached import Detached

        state = Detached(home()).stop()
        if state is None:
            _say({"running": False, "stopped": False}, "Connect does not run", as_json)
        else:
            _say({"running": False, "stopped": True}, f"Connect on {_url(state)} has stopped", as_json)


def plugin(
    folder: Annotated[Path, typer.Argument(help="A folder of your Connect workers' plugin.path.")],
    as_json: Json = False,
) -> None:
    """Put the jar of Headrace's search sink into a folder, for Connect workers that are not ours."""
    with reported(as_json):
        from headrace.connectors.search.plugin import plugin as built

        jar = built()
        try:
            copy = shutil.copy(jar, folder / jar.name)
        except OSError as error:
            raise Failure(
                USAGE, f"{folder / jar.name} cannot be written: {error.strerror}; choose another folder"
            ) from error
        _say({"jar": str(copy)}, str(copy), as_json)


def home() -> Path:
    """Where state, settings and log of the worker are: in HEADRACE_HOME, or `.headrace` in the working folder."""
    return Path(os.environ.get("HEADRACE_HOME") or ".headrace") / "connect"


def _make(bootstrap: str, port: int, plugins: list[Path], *, detached: bool) -> "EmbeddedConnect":
    from headrace.connectors.search.plugin import plugin as built
    from headrace.embedded import EmbeddedConnect

    for folder in plugins:
        if not folder.is_dir():
            raise Failure(USAGE, f"--plugins: there is no folder {folder}")
    path = [built().parent, *plugins]
    return EmbeddedConnect(bootstrap, path, port=port or None, folder=home() / "worker", detached=detached)


def _stay(worker: "Detached", connect: "EmbeddedConnect", as_json: bool) -> None:
    """Run it until Ctrl-C, SIGTERM, `headrace connect stop`, or its end."""
    asked = threading.Event()
    earlier = {one: signal.signal(one, lambda *_: asked.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with connect:
            state = worker.write(connect)
            _say(_shown(state), f"Connect runs on {_url(state)}; Ctrl-C stops it\nlog: {state.logs[0]}", as_json)
            while connect.check() and not asked.wait(0.2):
                pass
    finally:
        worker.forget()
        for one, handler in earlier.items():
            signal.signal(one, handler)


def _url(state: "State") -> str:
    return f"http://127.0.0.1:{state.ports[0]}"


def _runs(state: "State") -> str:
    return f"Connect already runs on {_url(state)} for {state.bootstrap} (pid {state.pids[0]})"


def _shown(state: "State") -> dict[str, Any]:
    return {"running": True, "url": _url(state), **asdict(state)}


def _say(shown: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(shown) if as_json else text)

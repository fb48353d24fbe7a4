"""`headrace kafka`: an Apache Kafka of one's own, for work on one machine."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from headrace.embedded import BrokerFailed, DataMismatch, EmbeddedKafkaError, find_jars, find_java, prepare
from headrace.embedded.detached import Detached, State

FAILED, USAGE, ENVIRONMENT = 1, 2, 3

app = typer.Typer(help="Apache Kafka of one's own, on this machine.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of text.")]


def home() -> Path:
    """Where the state and the data are: HEADRACE_HOME, or `.headrace` in the working folder."""
    return Path(os.environ.get("HEADRACE_HOME") or ".headrace") / "kafka"


@app.command()
def start(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the first broker (9092); 0 takes free ones.")
    ] = None,
    brokers: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="How many (1, or as the data has); from three on, with three copies."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where the data stays; by default beside the state.")] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until Ctrl-C instead of returning.")] = False,
    as_json: Json = False,
) -> None:
    """Start Kafka, or say that it runs. Data of an earlier start is there again."""
    if port and port + (brokers or 1) - 1 > 65535:
        _fail(USAGE, f"{brokers} brokers from port {port} on need ports above 65535; choose a lower --port", as_json)
    kafka = Detached(home())
    with _errors(as_json):
        if foreground:
            _stay(kafka, brokers, port, data, as_json)
            return
        before = time.monotonic()
        running = kafka.state()
        state = running or kafka.write(kafka.make(brokers, port, data).start())
        seconds = time.monotonic() - before
    fresh = running is None
    if not fresh:
        _refuse_if_other(state, brokers, port, data, as_json)
    text = f"Kafka runs on {state.bootstrap} (started in {seconds:.1f} s)" if fresh else _runs(state, "already ")
    _say(
        {**_shown(state, True), "fresh": fresh},
        f"{text}\ndata: {state.data}\nstop it with: headrace kafka stop",
        as_json,
    )


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop Kafka in order. Its data stays. No error if it does not run."""
    with _errors(as_json):
        state = Detached(home()).stop()
    if state is None:
        _say({"running": False, "stopped": False}, "Kafka does not run", as_json)
    else:
        shown = {"running": False, "stopped": True, "data": state.data}
        _say(shown, f"Kafka on {state.bootstrap} has stopped; its data stays in {state.data}", as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Say whether Kafka runs: exit code 0 if it does, 1 if not."""
    state = Detached(home()).state()
    if state is None:
        _say(
            {"running": False}, f"Kafka does not run ({home()} knows of none); start it: headrace kafka start", as_json
        )
        raise typer.Exit(FAILED)
    ready = state.ready
    lines = [_runs(state, ""), f"data: {state.data}", f"logs: {', '.join(state.logs)}"]
    if not ready:
        lines.append("it does not answer; see its logs, or start it anew: headrace kafka stop && headrace kafka start")
    elif state.alive < len(state.pids):
        lines.append(f"{state.alive} of {len(state.pids)} brokers run; see the logs of the others")
    _say(_shown(state, ready), "\n".join(lines), as_json)


@app.command()
def fetch(as_json: Json = False) -> None:
    """Fetch Apache Kafka (about 55 MB, once) and run it once, so that later starts are quick."""
    with _errors(as_json):
        prepare()
        jars, java = find_jars(), find_java()
    folder, size = jars[0].parent, sum(jar.stat().st_size for jar in jars)
    shown = {"jars": len(jars), "bytes": size, "folder": str(folder), "java": str(java)}
    _say(shown, f"Apache Kafka: {len(jars)} jars, {size / 1e6:.0f} MB in {folder}\nJava: {java}", as_json)


def _stay(kafka: Detached, brokers: int | None, port: int | None, data: Path | None, as_json: bool) -> None:
    """Run Kafka until Ctrl-C, SIGTERM, `headrace kafka stop`, or a broker's end."""
    running = kafka.state()
    if running is not None:
        _fail(FAILED, f"{_runs(running, 'already ')}; stop it first: headrace kafka stop", as_json)
    asked = threading.Event()
    earlier = {one: signal.signal(one, lambda *_: asked.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with kafka.make(brokers, port, data, detached=False) as own:
            state = kafka.write(own)
            _say(_shown(state, True), f"Kafka runs on {state.bootstrap}; Ctrl-C stops it\ndata: {state.data}", as_json)
            while own.check() and not asked.wait(0.2):
                pass
    finally:
        kafka.forget()
        for one, handler in earlier.items():
            signal.signal(one, handler)


def _refuse_if_other(state: State, brokers: int | None, port: int | None, data: Path | None, as_json: bool) -> None:
    """Exit if what runs is not what was asked for: silence would let one work on the wrong data."""
    other = [
        f"{what} {has}, not {asked}"
        for what, has, asked in (
            ("brokers:", len(state.ports), brokers),
            ("first port:", state.ports[0], port or None),
            ("data:", state.data, str(data.resolve()) if data else None),
        )
        if asked is not None and has != asked
    ]
    if other:
        _fail(
            FAILED, f"{_runs(state, 'already ')} with {'; '.join(other)}; stop it first: headrace kafka stop", as_json
        )


def _runs(state: State, already: str) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started))
    return f"Kafka {already}runs on {state.bootstrap} since {since} (pid {', '.join(map(str, state.pids))})"


def _shown(state: State, ready: bool) -> dict[str, Any]:
    return {"running": True, "ready": ready, "brokers": len(state.ports), "alive": state.alive, **asdict(state)}


def _say(shown: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(shown) if as_json else text)


@contextmanager
def _errors(as_json: bool) -> Iterator[None]:
    """Turn what can go wrong into a line on stderr and an exit code."""
    try:
        yield
    except BrokerFailed as error:
        _fail(FAILED, str(error), as_json)
    except DataMismatch as error:
        _fail(USAGE, str(error), as_json)
    except EmbeddedKafkaError as error:
        _fail(ENVIRONMENT, str(error), as_json)


def _fail(code: int, message: str, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": code}))
    typer.echo(f"headrace kafka: {message}", err=True)
    raise typer.Exit(code)

"""The other systems of `headrace demo --read-side`: those that are named, or found on this machine."""

import importlib.util
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.cli.errors import ENVIRONMENT, Failure
from headrace.embedded.broker import free_ports
from headrace.embedded.process import Process
from headrace.examples.poker.demo.screen import Screen

_ANSWERS_WITHIN = 20.0  # seconds
_NO_SEARCH = (
    "no search server is named: --search URL or SEARCH_URL names an OpenSearch or Elasticsearch without users, such as "
    "that of `docker run -p 9200:9200 -e discovery.type=single-node -e DISABLE_SECURITY_PLUGIN=true "
    "opensearchproject/opensearch:2.19.6`"
)
_NO_REDIS = (
    "no Redis is named, and there is no redis-server on this machine: install it, or name one by --redis URL or "
    "REDIS_URL"
)
_NO_REDIS_CLIENT = "the client for Redis is not installed: pip install 'headrace[redis]'"
_NO_FAKESNOW = (
    "fakesnow, an emulator of Snowflake's SQL, is not installed: pip install fakesnow, here or in an environment of "
    "its own, whose Python --fakesnow names"
)


@dataclass(frozen=True, slots=True)
class Systems:
    """What documents can go to."""

    search: bool = False
    """Whether SEARCH_URL names a server."""
    redis: bool = False
    """Whether REDIS_URL names one."""
    fakesnow: Path | None = None
    """A Python that has it."""
    left_out: dict[str, str] = field(default_factory=dict)
    """By system, why it is not there and how to get it."""


@contextmanager
def systems(search: str, redis: str, fakesnow: Path | None, screen: Screen) -> Iterator[Systems]:
    """Those that there are; a redis-server of this machine is started, and gone afterwards.

    Failure for one that is named and does not answer.
    """
    left_out = {}
    search, redis = search or os.environ.get("SEARCH_URL", ""), redis or os.environ.get("REDIS_URL", "")
    with ExitStack() as stack:
        if search:
            _look_at(search)
        else:
            left_out["search"] = _NO_SEARCH
        if importlib.util.find_spec("redis") is None:
            redis, left_out["redis"] = "", _NO_REDIS_CLIENT
        elif redis:
            _ping(redis)
        elif program := shutil.which("redis-server"):
            redis = stack.enter_context(_redis_server(program))
            screen.say(f"redis-server runs on {redis}")
        else:
            left_out["redis"] = _NO_REDIS
        if fakesnow is None and importlib.util.find_spec("fakesnow") is not None:
            fakesnow = Path(sys.executable)
        if fakesnow is None:
            left_out["snowflake"] = _NO_FAKESNOW
        stack.enter_context(_environment({"SEARCH_URL": search, "REDIS_URL": redis}))
        yield Systems(bool(search), bool(redis), fakesnow, left_out)


def _look_at(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWERS_WITHIN):
            return
    except urllib.error.HTTPError as error:
        hint = "; the demo needs one without users" if error.code in (401, 403) else ""
        raise Failure(ENVIRONMENT, f"the search server that --search names answers HTTP {error.code}{hint}") from None
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        raise Failure(
            ENVIRONMENT, f"no answer from the search server that --search names ({why}); is it running there?"
        ) from None


def _ping(url: str) -> None:
    from redis.exceptions import RedisError

    from headrace.connectors.redis.connection import connect
    from headrace.connectors.redis.declaration import AddressUnfit

    try:
        connect(url).close()
    except AddressUnfit as error:
        raise Failure(ENVIRONMENT, f"--redis: {error}") from None
    except (RedisError, OSError) as error:  # without the address, which may hold a password
        raise Failure(
            ENVIRONMENT, f"no answer from the Redis that --redis names ({type(error).__name__}); is it running there?"
        ) from None


@contextmanager
def _redis_server(program: str) -> Iterator[str]:
    from redis.exceptions import RedisError

    from headrace.connectors.redis.connection import connect

    (port,) = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    with TemporaryDirectory(prefix="headrace-demo-redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = Process("redis-server", command, Path(folder, "redis.log"), detached=False, leftovers=[Path(folder)])
        try:
            deadline = time.monotonic() + _ANSWERS_WITHIN
            while True:
                try:
                    connect(url).close()
                    break
                except (RedisError, OSError):
                    if not process.alive or time.monotonic() > deadline:
                        raise Failure(ENVIRONMENT, str(process.failure("does not answer"))) from None
                time.sleep(0.05)
            yield url
        finally:
            process.kill()  # it keeps nothing


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, for this process and those that it starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

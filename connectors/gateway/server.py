"""The gateway's addresses: what is asked over HTTP becomes calls of the client, and their answers JSON."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from confluent_kafka import KafkaException
from google.protobuf import json_format
from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from headrace.connectors.gateway import answers, events
from headrace.connectors.gateway.access import Access, Token
from headrace.connectors.gateway.events import Incoming
from headrace.connectors.gateway.problems import TYPE as PROBLEM
from headrace.connectors.gateway.problems import Problem, field
from headrace.schemas.ids import natural_number
from headrace.streams.client import CascadeFailed, CascadeUnknown, Client, OutcomeUnknown
from headrace.streams.client import ProjectionFailed as DocumentsFailed
from headrace.streams.client import ProjectionUnknown as DocumentsUnknown
from headrace.topology.inspection import ComponentSpec
from headrace.topology.reply import Reply
from headrace.topology.topology import Topology

log = structlog.get_logger()
MOST_BYTES = 1024 * 1024
"""The largest body; a command has to fit into a record."""
MOST_EVENTS = 1000
"""The most events in one answer."""
_RETRY = {"Retry-After": "1"}
_SYNC = ("decision", "simple", "cascade")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Call = Callable[[Token, Incoming], Awaitable[Reply]]
KnownBy = Callable[[Token, Incoming], dict[str, str]]
"""How the engine knows an event: what a sender asks for when the outcome is not known."""


class Gateway:
    """Serves one deployment and edition. `client` is None until the brokers have been reached."""

    def __init__(self, topology: Topology, access: Access, timeout: float) -> None:
        self.client: Client | None = None
        self._topology, self._access, self._timeout = topology, access, timeout

    def app(self) -> web.Application:
        """The application, to be run by an aiohttp runner."""
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[_problems])
        app.router.add_post("/commands", self._commands)
        app.router.add_post("/facts", self._facts)
        app.router.add_get("/roots/{domain}/{root}", self._state)
        app.router.add_get("/roots/{domain}/{root}/events", self._events)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    # ---- commands and facts

    async def _commands(self, request: web.Request) -> web.Response:
        _only(request, "domain", "sync")
        sync = request.query.get("sync", "decision")
        if sync not in _SYNC:
            raise field("sync", f"is one of: {', '.join(_SYNC)}")

        def command_id(caller: Token, one: Incoming) -> str:
            key = request.headers.get("Idempotency-Key")
            return events.identity(f"key of {caller.name}", key) if key else one.identity

        async def execute(caller: Token, one: Incoming) -> Reply:
            spec = self._spec(request, caller, one, "commands")
            message = one.message(spec.commands[one.message_type].message)
            return await self._ready().execute(
                message,
                root=one.root,
                domain=spec.name,
                command_id=command_id(caller, one),
                correlation_id=one.correlation_id,
                expected_sequence=one.expected_sequence,
                timeout=self._timeout,
                sync=sync,  # type: ignore[arg-type]
            )

        return await self._answer(request, execute, lambda caller, one: {"command_id": command_id(caller, one)})

    async def _facts(self, request: web.Request) -> web.Response:
        _only(request, "domain")

        async def state(caller: Token, one: Incoming) -> Reply:
            spec = self._spec(request, caller, one, "facts")
            message = one.message(spec.facts[one.message_type].message)
            return await self._ready().record_fact(
                message,
                root=one.root,
                domain=spec.name,
                external_id=one.external_id,
                correlation_id=one.correlation_id,
                timeout=self._timeout,
            )

        return await self._answer(request, state, lambda caller, one: {"external_id": one.external_id})

    async def _answer(self, request: web.Request, call: Call, known_by: KnownBy) -> web.Response:
        """One outcome for each event of a request, in order; those of one root are sent in order."""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Problem(415, "bodies are not compressed")
        caller = self._caller(request)
        found, batch = events.read(request.headers, await request.read())
        if batch and "Idempotency-Key" in request.headers:
            raise field("Idempotency-Key", "is for one event; those of a batch have ids of their own")
        by_caller = partial(call, caller), partial(known_by, caller)
        outcomes = await asyncio.gather(*(_outcome(one, request, *by_caller) for one in found))
        if batch:
            return web.json_response([{"http_status": status, **body} for status, body, _ in outcomes])
        status, body, headers = outcomes[0]
        kind = "application/json" if status < 400 else PROBLEM
        return web.Response(text=json.dumps(body), status=status, headers=headers, content_type=kind)

    def _caller(self, request: web.Request) -> Token:
        return self._access.caller(request.headers.get("Authorization", ""))

    def _spec(self, request: web.Request, caller: Token, one: Incoming, right: str) -> ComponentSpec:
        """The aggregate that an event is for, if the caller may send it there."""
        specs = self._topology.aggregates.values()
        able = [spec for spec in specs if one.message_type in getattr(spec, right)]
        named = request.query.get("domain")
        chosen = [spec for spec in able if named in (None, spec.name)]
        if not chosen:
            raise Problem(404, f"{named or 'no domain'} handles no {one.message_type} among {right}")
        if len(chosen) > 1:
            names = ", ".join(spec.name for spec in chosen)
            raise field("domain", f"{one.message_type} is handled by {names}; say which with ?domain=")
        self._access.check(caller, right, chosen[0].name)
        return chosen[0]

    # ---- reads

    async def _state(self, request: web.Request) -> web.Response:
        _only(request)
        spec, root = self._root(request)
        state = await self._ready().state(root, spec.name, timeout=self._timeout)
        if state is None:
            raise Problem(404, f"{spec.name} {root} has no events")
        return _tagged(request, {"root": root, "state": json_format.MessageToDict(state)})

    async def _events(self, request: web.Request) -> web.Response:
        _only(request, "from", "limit")
        spec, root = self._root(request)
        first, limit = _number(request, "from", 0, 1 << 62), _number(request, "limit", 100, MOST_EVENTS)
        found: list[dict[str, Any]] = []
        async for event in self._ready().events(root, first, spec.name, timeout=self._timeout):
            if len(found) == limit:
                break
            found.append(answers.event_data(event))
        return _tagged(request, {"root": root, "events": found, "next": first + len(found)})

    def _root(self, request: web.Request) -> tuple[ComponentSpec, str]:
        domain, root = request.match_info["domain"], request.match_info["root"]
        self._access.check(self._caller(request), "read", domain)
        if (spec := self._topology.aggregates.get(domain)) is None:
            raise Problem(404, f"there is no domain {domain}; there are: {', '.join(self._topology.aggregates)}")
        return spec, root

    # ---- health

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        ready = self.client is not None
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    def _ready(self) -> Client:
        if self.client is None:
            raise Problem(503, "the brokers have not been reached yet; nothing was sent", _RETRY)
        return self.client


async def _outcome(
    one: Incoming | Problem,
    request: web.Request,
    call: Callable[[Incoming], Awaitable[Reply]],
    known_by: Callable[[Incoming], dict[str, str]],
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers for one event. Whatever goes wrong with it, the others of its batch have their own."""
    try:
        if isinstance(one, Problem):
            raise one
        carrier = {"traceparent": one.text("ce_traceparent") or request.headers.get("traceparent", "")}
        token = attach(TraceContextTextMapPropagator().extract(carrier))
        try:
            return 200, answers.outcome(await _called(call, one, known_by)), {}
        finally:
            detach(token)
    except Exception as error:
        problem = _expected(error, request)
        return problem.status, problem.data(), problem.headers


async def _called(
    call: Callable[[Incoming], Awaitable[Reply]], one: Incoming, known_by: Callable[[Incoming], dict[str, str]]
) -> Reply:
    try:
        return await call(one)
    except (OutcomeUnknown, DocumentsUnknown, CascadeUnknown) as error:
        again = "; it is safe to send the same event again"
        raise Problem(503, f"{error}{again}", _RETRY, **known_by(one)) from None
    except (DocumentsFailed, CascadeFailed) as error:
        raise Problem(422, str(error), **answers.reply_data(error.reply)) from None
    except KafkaException as error:
        raise Problem(503, f"the brokers did not take it: {error}", _RETRY) from None


def _only(request: web.Request, *known: str) -> None:
    """Refuse parameters that would have no effect: who sends one relies on it."""
    if unknown := sorted(request.query.keys() - set(known)):
        raise field(unknown[0], f"is no parameter here; there are: {', '.join(known) or 'none'}")


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    number = natural_number(request.query.get(name, str(default)))
    if number is None or number > most:
        raise field(name, f"must be a whole number, {most} at most")
    return number


def _tagged(request: web.Request, data: dict[str, Any]) -> web.Response:
    """An answer that a caller need not read again while it is the same."""
    text = json.dumps(data)
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in (one.strip() for one in request.headers.get("If-None-Match", "").split(",")):
        return web.Response(status=304, headers=headers)
    return web.Response(text=text, content_type="application/json", headers=headers)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as problem details; what nobody expects is logged, and not shown."""
    try:
        answer = await handler(request)
    except Exception as error:
        answer = _problem(_expected(error, request))
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def _expected(error: Exception, request: web.Request) -> Problem:
    """What a caller is told of an error; to be called while it is handled, as one that nobody expects is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Problem(413, f"a body has at most {MOST_BYTES} bytes")
    if isinstance(error, web.HTTPException):
        return Problem(error.status, error.reason, {"Allow": error.headers.get("Allow", "")})
    if isinstance(error, (OutcomeUnknown, KafkaException)):
        return Problem(503, str(error), _RETRY)
    if type(error) is LookupError:  # a KeyError would be a fault of ours
        return Problem(404, str(error))
    log.exception("the gateway has failed", method=request.method, path=request.path)
    return Problem(500, "the log of the gateway says why")


def _problem(problem: Problem) -> web.Response:
    headers = {name: value for name, value in problem.headers.items() if value}
    return web.Response(text=json.dumps(problem.data()), status=problem.status, headers=headers, content_type=PROBLEM)

"""Dead letters over HTTP: what `headrace dead-letters` does, as pages of a worker's web server."""

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException
from faust.types.app import AppT
from faust.types.web import Request
from faust.web.views import View
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from headrace.streams.admin import dead_letters
from headrace.streams.admin.dead_letters import Filter, ListedDeadLetter
from headrace.streams.admin.http_auth import HttpAuth, Refused
from headrace.streams.admin.worker_thread import WorkerThread
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology

BODY = 256 * 1024
"""The most bytes of a request: enough for some thousand ids."""
BODY_SECONDS = 10.0
"""Seconds within which a request's body must arrive."""

log = structlog.get_logger()


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a text, such as 2026-01-31T12:00:00Z")
    return dead_letters.moment(value)


Text = Annotated[str, Field(min_length=1)]
"""Never empty: a value that a script leaves blank by mistake must not select everything."""
Texts = Annotated[list[Text], Field(min_length=1), BeforeValidator(_several)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]  # None only by default: null is an error


class _Wanted(BaseModel):
    """Which dead letters a request selects."""

    model_config = ConfigDict(extra="forbid", strict=True)

    component: Texts = Field(default=[])


class _Filtered(_Wanted):
    root: Text = ""
    error_class: Text = Field(default="", alias="class")
    since: Moment = None
    until: Moment = None

    def filter(self, **more: Any) -> Filter:
        return Filter(root=self.root, error_class=self.error_class, since=self.since, until=self.until, **more)


class Listing(_Filtered):
    """The query of a list."""

    all: bool = Field(default=False, strict=False)


class Showing(_Wanted):
    """The query for one dead letter."""

    id: Text


class Settling(_Filtered):
    """The body of a replay or discard."""

    ids: Texts = Field(default=[])
    dry_run: bool = False


Asked = TypeVar("Asked", bound=BaseModel)


class DeadLetterRequests:
    """What the requests do. Its methods wait for brokers."""

    def __init__(self, settings: Settings, topology: Topology) -> None:
        self._settings, self._topology = settings, topology

    def listed(self, asked: Listing) -> list[dict[str, Any]]:
        """Dead letters, oldest first."""
        found = self._find(asked.component, asked.filter(settled=asked.all), "no dead letters")
        return [dead_letter.data() for dead_letter in found]

    def shown(self, asked: Showing) -> dict[str, Any]:
        """One dead letter whole."""
        wanted = Filter(ids=frozenset([asked.id]), settled=True)
        return self._find(asked.component, wanted, f"there is no dead letter {asked.id}")[0].whole()

    def replay(self, asked: Settling) -> list[dict[str, str]]:
        """Send inputs again."""
        return self._settle(asked, discard=False)

    def discard(self, asked: Settling) -> list[dict[str, str]]:
        """Discard dead letters."""
        return self._settle(asked, discard=True)

    def _find(self, components: list[str], wanted: Filter, none: str) -> list[ListedDeadLetter]:
        try:
            names = dead_letters.names(self._settings, self._topology, components)
        except LookupError as error:
            raise Refused(400, f"component: {error}") from None
        found = dead_letters.find(self._settings, self._topology, names, wanted)
        if not found:
            raise Refused(404, none)
        return found

    def _settle(self, asked: Settling, *, discard: bool) -> list[dict[str, str]]:
        if not asked.model_fields_set - {"dry_run"}:
            raise Refused(400, "say which: ids, component, root, class, since or until")
        found = self._find(asked.component, asked.filter(ids=frozenset(asked.ids)), "no open dead letter is meant")
        outcome = dead_letters.outcome(discard=discard, dry_run=asked.dry_run)
        done: list[dict[str, str]] = []
        if asked.dry_run:
            return [{"id": dead_letter.id, "done": outcome} for dead_letter in found]
        try:
            for dead_letter in dead_letters.settle(self._settings, self._topology, found, discard=discard):
                done.append({"id": dead_letter.id, "done": outcome})
                component = dead_letter.component
                log.info("dead letter settled over HTTP", id=dead_letter.id, component=component, done=outcome)
        except dead_letters.NotAllSettled as error:
            raise Refused(503 if error.replayable else 409, str(error), done=done) from error
        except (dead_letters.SettleFailed, KafkaException) as error:
            raise Refused(503, _reason(error), done=done) from error
        return done


def pages(app: AppT, settings: Settings, topology: Topology) -> None:
    """Add the pages to a worker's web server."""
    access, work, thread = HttpAuth(settings), DeadLetterRequests(settings, topology), WorkerThread()
    web: Any = app.web
    web.web_app.on_shutdown.append(thread.close)

    async def answer(view: View, request: Any, model: type[Asked], do: Any) -> Any:
        headers = {"Cache-Control": "no-store"}
        try:
            access.check(request)
            asked = await _asked(request, model)
            text = await thread.run(lambda: json.dumps(do(asked)))
            return view.text(text, content_type="application/json", headers=headers)
        except Refused as refused:
            status, said = refused.status, {"error": str(refused), **refused.more}
        except (TimeoutError, KafkaException) as error:
            status, said = 503, {"error": f"the brokers do not answer, or refuse: {_reason(error)}"}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return view.json(said, status=status, headers=headers)

    @app.page("/dead-letters")
    class List(View):
        async def get(self, request: Request) -> Any:
            return await answer(self, request, Listing, work.listed)

    @app.page("/dead-letters/show")
    class Show(View):
        async def get(self, request: Request) -> Any:
            return await answer(self, request, Showing, work.shown)

    @app.page("/dead-letters/replay")
    class Replay(View):
        async def post(self, request: Request) -> Any:
            return await answer(self, request, Settling, work.replay)

    @app.page("/dead-letters/discard")
    class Discard(View):
        async def post(self, request: Request) -> Any:
            return await answer(self, request, Settling, work.discard)


async def _asked(request: Any, model: type[Asked]) -> Asked:
    """The fields of a request, from its body or its query; Refused names what is wrong."""
    try:
        if request.method == "POST":
            if request.query_string:
                raise Refused(400, "what is meant stands in the body, not in the address")
            return model.model_validate_json(await _body(request))
        query: dict[str, Any] = {}
        for name in request.query:
            values = request.query.getall(name)
            query[name] = values if len(values) > 1 else values[0]
        return model.model_validate(query)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise Refused(400, "; ".join(wrong[:10])) from None


async def _body(request: Any) -> bytes:
    # a web page cannot send this type to another origin unless that server allows it, which this one does not
    if request.content_type != "application/json":
        raise Refused(415, "send Content-Type: application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > BODY:
                    raise Refused(413, f"the body is above {BODY} bytes; name fewer ids, or a class or times instead")
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:g} s") from None
    return bytes(body)


def _reason(error: Exception) -> str:
    kafka = error.args[0] if error.args else None
    return kafka.str() if isinstance(kafka, KafkaError) else str(error)

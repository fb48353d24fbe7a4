"""Which version of each projector serves, as a topic of the deployment records it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.schemas.record import rfc3339
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.compare_and_set import Latest, NotConfirmed, Rows, compare_and_set, latest


class ServingChanged(RuntimeError):
    """Somebody else has switched in the meantime; nothing was written."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves for one projector."""

    version: int
    since: str
    """When it was recorded, as RFC 3339."""
    before: int | None
    """The version that served before it; None if none was recorded."""


def serving(settings: Settings) -> Mapping[str, Serving]:
    """What serves in the deployment's edition, by projector; a projector that was never switched is left out.

    Raises KafkaException, or TimeoutError while somebody else is switching.
    """
    return _parsed(settings.edition, latest(settings, settings.names.projections))


def _parsed(edition: str, rows: Latest) -> dict[str, Serving]:
    found: dict[str, Serving] = {}
    for key, value in rows.items():
        its_edition, _, projector = key.decode().partition("/")
        if its_edition == edition:
            row = json.loads(value)
            found[projector] = Serving(row["version"], row["since"], row["before"])
    return found


def record(settings: Settings, projector: str, version: int, expected: Serving | None) -> Serving:
    """Record that a version serves from now on. Raises ServingChanged unless `expected` is what was recorded last."""
    new = Serving(version, rfc3339(now_ms()), None if expected is None else expected.version)

    def decide(rows: Latest) -> Rows:
        before = _parsed(settings.edition, rows).get(projector)
        if before != expected:
            now = "nothing" if before is None else f"version {before.version} since {before.since}"
            raise ServingChanged(f"{projector}: {now} is recorded by now; look at it with `headrace projections list`")
        row = {"version": new.version, "since": new.since, "before": new.before}
        yield f"{settings.edition}/{projector}".encode(), json.dumps(row).encode()

    try:
        compare_and_set(settings, settings.names.projections, "headrace.projections", decide)
    except NotConfirmed as error:
        raise ServingChanged(f"{projector}: the switch was not recorded, or another one has won: {error}") from error
    return new

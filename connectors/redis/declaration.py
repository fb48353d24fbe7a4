"""What an author declares: documents of a projector that are to be in Redis too."""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from headrace.topology.projector import Projector, version_name

URL = "${env:REDIS_URL}"
_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


class AddressUnfit(ValueError):
    """No address of Redis is configured, or one that is none; the text does not show it: it may hold a password."""


@dataclass(frozen=True, slots=True)
class Redis:
    """A copy of a projector's documents in Redis, kept by `headrace sinks redis`.

    Raises ValueError for what makes no sense.
    """

    kind: ClassVar[str] = "redis"
    projector: type[Projector[Any]]
    url: str = URL
    """The variable that holds Redis's address, as `${env:NAME}`. An address may hold a password, so it is not here."""
    expires: timedelta | None = None
    """A document disappears from Redis so long after it was last written to Kafka; None: never."""
    confirm: bool = False
    """Whether a client that waits with `sync="simple"`, and knows these sinks, waits until Redis has the documents."""

    def __post_init__(self) -> None:
        variable(self.url)
        if self.expires is not None and self.expires <= timedelta(0):
            raise ValueError(f"Redis({self.projector.__name__}): expires is {self.expires}; it must be above zero")

    @property
    def component(self) -> str:
        """The projector's version as a component."""
        return version_name(self.projector.name, self.projector.version)


def variable(url: str) -> str:
    """The name in `${env:NAME}`; ValueError for anything else, which is not shown, as it may hold a password."""
    if (found := _VARIABLE.fullmatch(url)) is None:
        raise ValueError('the url of Redis must be written url="${env:NAME}"; the variable NAME holds the address')
    return found[1]


def address(url: str) -> str:
    """Redis's address, from the variable that `url` names. Raises AddressUnfit if that is not set."""
    name = variable(url)
    if not (found := os.environ.get(name, "")):
        raise AddressUnfit(f"no Redis named; set {name} to its address, such as redis://127.0.0.1:6379/0")
    return found

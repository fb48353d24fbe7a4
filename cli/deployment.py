"""The deployment of a command: its topology, brokers and names; and the options that determine them."""

import functools
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.errors import USAGE, Failure, plain, reported
from headrace.extras import MissingExtra

if TYPE_CHECKING:
    from headrace.streams.settings import Settings
    from headrace.topology.topology import Topology

Domains = Annotated[
    list[str] | None, typer.Option("--domain", metavar="DOMAIN", help="Only this domain; may be given several times.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text: one object, or one per line.")]
InEdition = Annotated[
    str | None, typer.Option("--edition", metavar="EDITION", help="By default HEADRACE_EDITION, else main.")
]

_SHARED: dict[str, Any] = {
    "topology": Annotated[
        str,
        typer.Option(
            metavar="MODULE:NAME",
            help="What the deployment runs; by default HEADRACE_TOPOLOGY.",
        ),
    ],
    "bootstrap": Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT,…",
            help="Brokers; by default HEADRACE_BOOTSTRAP, else those of `headrace kafka start`.",
        ),
    ],
    "prefix": Annotated[
        str,
        typer.Option(
            metavar="PREFIX.",
            help="Before each topic's name; by default HEADRACE_PREFIX.",
        ),
    ],
}


class Deployment:
    """What options and environment determine. Nothing is imported, read or connected to before it is needed."""

    def __init__(self, topology: str = "", bootstrap: str = "", prefix: str = "") -> None:
        self._reference = topology or os.environ.get("HEADRACE_TOPOLOGY", "")
        self._given = {k: v for k, v in (("bootstrap", bootstrap), ("prefix", prefix)) if v}
        self._settings: Settings | None = None

    @property
    def reference(self) -> str:
        """The topology as `module:name`."""
        return self._reference

    @functools.cached_property
    def topology(self) -> "Topology":
        """The topology, imported; raises Failure or TopologyError when that cannot be done."""
        return load_topology(self._reference)

    def settings(self, *, own_kafka: bool = True, **options: Any) -> "Settings":
        """Settings from the environment, with these options (those that are not None) before them.

        Where no brokers are named, those of `headrace kafka start`, unless `own_kafka` is off.
        Raises Failure for an option that does not fit, ValidationError for a variable.
        """
        from pydantic import ValidationError

        from headrace.streams.settings import Settings

        chosen = self._given | {k: v for k, v in options.items() if v is not None}
        try:
            settings = Settings(**chosen)
        except ValidationError as error:
            for one in error.errors(include_input=False, include_url=False):
                if one["loc"] and one["loc"][0] in chosen:
                    raise Failure(USAGE, f"--{str(one['loc'][0]).replace('_', '-')}: {plain(one['msg'])}") from None
            raise
        if not settings.bootstrap and own_kafka:
            settings = settings.model_copy(update={"bootstrap": _own_kafka()})
        self._settings = settings
        return settings

    def brokers(self) -> str:
        """The brokers for a message; empty when the settings were not read."""
        return self._settings.bootstrap if self._settings else ""

    def redact(self, text: str) -> str:
        """`text` without the values of client settings that could be secrets."""
        for secret in self._settings.kafka.values() if self._settings else ():
            value = secret.get_secret_value()
            if len(value) > 3:
                text = text.replace(value, "***")
        return text

    def domain(self, name: str | None) -> str:
        """The domain of a command: the named one, otherwise the topology's only one."""
        domains = list(self.topology.aggregates)
        if name is None:
            if len(domains) == 1:
                return domains[0]
            raise Failure(USAGE, f"name the domain with --domain; this topology has: {', '.join(domains) or 'none'}")
        return self.topology.aggregate(name).name

    def domains(self, names: Sequence[str] | None) -> list[str]:
        """The named components, by domain or name, otherwise all; LookupError names one that is unknown."""
        return [self.topology.component(name).name for name in names or self.topology.components]


def _own_kafka() -> str:
    try:
        from headrace.cli.kafka import home
        from headrace.embedded.detached import Detached
    except MissingExtra:
        return ""

    state = Detached(home()).state()
    return "" if state is None else state.bootstrap


_BROKERS = Annotated[
    str, typer.Option(metavar="HOST:PORT,…", help="Brokers; by default HEADRACE_BOOTSTRAP, else a Kafka of its own.")
]


def _command(function: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    own = inspect.signature(function, eval_str=True)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="", annotation=annotation)
        for name, annotation in options.items()
    ]
    kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in list(own.parameters.values())[1:]]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        deployment = Deployment(**{name: given.pop(name) for name in options})
        with reported(given.get("as_json", False), deployment.brokers, deployment.redact):
            function(deployment, **given)

    command.__signature__ = own.replace(parameters=[*kept, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*kept, *shared)}
    return command


def deployed(function: Callable[..., None]) -> Callable[..., None]:
    """Makes a command of `function(deployment, …)`: adds the options above, and turns errors into exit codes."""
    return _command(function, _SHARED)


def on_cluster(function: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that brings its topology and, where no brokers are named, its Kafka."""
    return _command(function, {"bootstrap": _BROKERS})


def load_topology(reference: str) -> "Topology":
    """The topology at `module:name`, looked for in the working folder too. Failure says what is wrong with it."""
    from headrace.topology.topology import Topology, TopologyError

    if not reference:
        raise Failure(
            USAGE, "no topology named; set HEADRACE_TOPOLOGY or --topology to MODULE:NAME, such as shop.orders:topology"
        )
    module, _, name = reference.partition(":")
    if not module or not name:
        raise Failure(USAGE, f"topology {reference!r} must be written MODULE:NAME, such as shop.orders:topology")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except TopologyError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise Failure(
                USAGE, f"topology {reference!r}: there is no module {error.name}; looked in {here} and sys.path"
            ) from None
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise Failure(
            USAGE,
            f"topology {reference!r}: importing {module} failed at {place.filename}:{place.lineno}: "
            f"{type(error).__name__}: {error}",
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            named = ", ".join(sorted(k for k, v in vars(found).items() if isinstance(v, Topology))) or "none"
            raise Failure(USAGE, f"topology {reference!r}: {module} has no {name}; topologies in it: {named}")
        found = getattr(found, part)
    if not isinstance(found, Topology):
        raise Failure(USAGE, f"topology {reference!r} is a {type(found).__name__}; it must be a headrace Topology")
    return found

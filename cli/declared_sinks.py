"""The sinks that a deployment declares: `sinks` in the module of its topology."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.cli.deployment import Deployment
from headrace.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from headrace.connectors.sinks import Sinks


def declared(deployment: Deployment) -> "Sinks | None":
    """The sinks beside a deployment's topology, checked against it; None if there are none.

    Failure says what is wrong with them.
    """
    from headrace.connectors.sinks import SinkMistake, Sinks

    topology = deployment.topology  # imports the module, and says what is wrong with it
    module = deployment.reference.partition(":")[0]
    found: Any = getattr(importlib.import_module(module), "sinks", None)
    if found is None or isinstance(found, ModuleType):  # a package may have a module of that name
        return None
    if not isinstance(found, Sinks):
        raise Failure(USAGE, f"sinks of {module} is a {type(found).__name__}; write sinks = Sinks(…)")
    try:
        found.check(topology.components)
    except SinkMistake as mistake:
        raise Failure(USAGE, str(mistake)) from None
    return found

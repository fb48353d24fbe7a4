"""`headrace monitor`: metrics of projections and sinks, for Prometheus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.connect import Address, client, failures
from headrace.cli.declared_sinks import declared
from headrace.cli.deployment import Deployment, deployed
from headrace.cli.errors import ENVIRONMENT, Failure

if TYPE_CHECKING:
    from headrace.connectors.connect.overview import SinkStatus
    from headrace.streams.admin.projections import VersionStatus
    from headrace.streams.settings import Settings


@deployed
def monitor(
    deployment: Deployment,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 30.0,
    web_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /healthz and /metrics; 0 takes a free one.")
    ] = None,
    connect: Address = "",
) -> None:
    """Watch projections and sinks, and serve what there is to see as metrics for Prometheus.

    Until SIGTERM or Ctrl-C. Logs go to stderr, as JSON when that is no terminal. One is enough for a deployment; it
    needs the rights of an operator.
    """
    settings = deployment.settings(web_port=web_port)
    settings.client()  # no brokers named: said before anything starts
    watched = _Watched(deployment, settings, connect)

    from headrace.cli import logs as log
    from headrace.connectors.monitor import run

    log.set_up(settings.log)
    try:
        run(settings, watched, every)
    except OSError as error:
        where = f"{settings.web_host}:{settings.web_port}"
        raise Failure(
            ENVIRONMENT, f"web port {where} cannot be used: {error.strerror}; take another one: --web-port N, or 0"
        ) from error


class _Watched:
    """A deployment, asked again each time."""

    def __init__(self, deployment: Deployment, settings: "Settings", connect: str) -> None:
        from headrace.connectors.sinks import Sinks

        self._topology, self._settings = deployment.topology, settings
        self._sinks = declared(deployment) or Sinks()
        with failures():  # mistakes are said before anything starts; Connect itself may be away
            of_connect = self._sinks.render(settings.names, settings.edition)
            self._client = client(connect) if of_connect else None

    def projections(self) -> "Sequence[VersionStatus]":
        from headrace.streams.admin import projections

        return list(projections.status(self._settings, self._topology))

    def sinks(self) -> "Sequence[SinkStatus]":
        from headrace.connectors.connect.deployment import Deployed
        from headrace.connectors.connect.overview import overview

        if self._client is None:
            return ()
        there = Deployed.look(self._client, self._sinks, self._settings.names, self._settings.edition)
        return overview(there, self._settings, there.named(()))

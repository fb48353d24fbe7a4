"""`headrace worker`: run the aggregates of a topology until told to stop."""

import faulthandler
import socket
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import declared_sinks
from headrace.cli.deployment import Deployment, Domains, deployed
from headrace.cli.errors import BUG, ENVIRONMENT, OK, Failure


@deployed
def worker(
    deployment: Deployment,
    domain: Domains = None,
    web_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /healthz, /metrics and the like; 0 takes a free one.")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder of the stores; by default HEADRACE_STATE_DIR, else .headrace/state.")
    ] = None,
) -> None:
    """Run the aggregates of a topology.

    Until SIGTERM or Ctrl-C. Logs go to stderr, as JSON when that is no terminal. Start several to share the work.
    """
    topology = deployment.topology
    declared_sinks.declared(deployment)  # mistakes in them are said here, and not when they are deployed
    settings = deployment.settings(web_port=web_port, state_dir=state_dir)
    domains = deployment.domains(domain)
    settings = settings.model_copy(update={"web_port": _free(settings.web_host, settings.web_port)})
    settings.client()  # no brokers named: said before anything starts

    from headrace.cli import logs as log
    from headrace.streams.runtime import worker as engine

    log.set_up(settings.log)
    faulthandler.enable(2)  # to stderr: a crash inside a native library says where it happened
    try:
        engine.run(settings, topology, domains)
    except SystemExit as end:
        raise typer.Exit(BUG if end.code else OK) from None  # the log says what went wrong
    except OSError as error:
        raise Failure(
            ENVIRONMENT, f"the folder of the stores, {settings.state_dir}, cannot be used: {error}"
        ) from error


def _free(host: str, port: int) -> int:
    """The port, if nobody listens there; a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Failure(
                ENVIRONMENT,
                f"web port {port} on {host} cannot be used: {error.strerror}; each worker needs one of its own: "
                "--web-port N, or 0 for a free one",
            ) from None
        number: int = probe.getsockname()[1]
        return number

"""`headrace gateway`: commands, facts and reads over HTTP."""

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.deployment import Deployment, deployed
from headrace.cli.errors import ENVIRONMENT, USAGE, Failure


@deployed
def gateway(
    deployment: Deployment,
    web_host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default HEADRACE_WEB_HOST, else 127.0.0.1.")
    ] = None,
    web_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on; by default HEADRACE_WEB_PORT, else 6066.")
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            envvar="HEADRACE_GATEWAY_TOKENS",
            help="File of tokens, as hashes, with what each may do. Without it, only this machine is listened to.",
        ),
    ] = None,
) -> None:
    """Take commands and facts as CloudEvents over HTTP, and answer reads, until SIGTERM or Ctrl-C.

    Logs go to stderr, as JSON when that is no terminal. Start several to share the work.
    """
    topology = deployment.topology
    settings = deployment.settings(web_port=web_port, web_host=web_host)
    settings.client()  # no brokers named: said before anything starts

    from headrace.cli import logs as log
    from headrace.connectors.gateway import access
    from headrace.connectors.gateway.run import run

    try:
        allowed = access.Access(access.tokens(tokens) if tokens else ())
    except access.TokensUnfit as error:
        raise Failure(USAGE, str(error)) from None
    if allowed.open and not _local(settings.web_host):
        raise Failure(
            USAGE, f"a gateway on {settings.web_host} is open to the network; give it --tokens FILE, or 127.0.0.1"
        )
    log.set_up(settings.log)
    try:
        run(settings, topology, allowed)
    except OSError as error:
        where = f"{settings.web_host}:{settings.web_port}"
        raise Failure(
            ENVIRONMENT, f"{where} cannot be listened on: {error.strerror}; --web-port takes another"
        ) from error


def _local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

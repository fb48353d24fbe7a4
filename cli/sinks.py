"""`headrace sinks`: what copies documents into other systems, as far as Headrace runs it itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.declared_sinks import declared
from headrace.cli.deployment import Deployment, deployed
from headrace.cli.errors import ENVIRONMENT, USAGE, Failure

if TYPE_CHECKING:
    from headrace.connectors.redis.declaration import Redis

app = typer.Typer(
    help="Copy documents into systems that Kafka Connect does not reach.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def sinks() -> None:
    """Copy documents into systems that Kafka Connect does not reach."""


@app.command()
@deployed
def redis(
    deployment: Deployment,
    projection: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="NAME",
            help="Only this projector, or its version NAME-vN; several times.",
        ),
    ] = None,
    web_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /healthz, /readyz, /metrics; 0 takes a free one.")
    ] = None,
) -> None:
    """Copy documents into Redis as they change.

    Writes what `Redis(…)` declares in `sinks`, beside the topology, until SIGTERM or Ctrl-C. Logs go to stderr, as
    JSON when that is no terminal. Start several to share the work.
    """
    chosen = _chosen(_declared(deployment), projection or ())
    settings = deployment.settings(web_port=web_port)
    settings.client()  # no brokers named: said before anything starts

    from headrace.cli import logs as log
    from headrace.connectors.redis.declaration import AddressUnfit
    from headrace.connectors.redis.run import run

    log.set_up(settings.log)
    try:
        run(settings, chosen)
    except AddressUnfit as error:
        raise Failure(ENVIRONMENT, str(error)) from None
    except OSError as error:
        where = f"{settings.web_host}:{settings.web_port}"
        raise Failure(
            ENVIRONMENT, f"web port {where} cannot be used: {error.strerror}; take another one: --web-port N, or 0"
        ) from error


def _declared(deployment: Deployment) -> "list[Redis]":
    from headrace.connectors.redis.declaration import Redis

    found = [one for one in declared(deployment) or () if isinstance(one, Redis)]
    if not found:
        module = deployment.reference.partition(":")[0]
        raise Failure(USAGE, f"{module} declares no Redis; write sinks = Sinks(Redis(YourProjector), …) in it")
    return found


def _chosen(redis: "list[Redis]", names: Iterable[str]) -> "list[Redis]":
    known = {name for one in redis for name in (one.projector.name, one.component)}
    for name in names:
        if name not in known:
            raise Failure(USAGE, f"no Redis is declared for {name!r}; there are: {', '.join(sorted(known))}")
    return [one for one in redis if not names or not {one.projector.name, one.component}.isdisjoint(names)]

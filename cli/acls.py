"""`headrace acls`: who needs what, as rules for the brokers."""

import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.connect import failures
from headrace.cli.declared_sinks import declared
from headrace.cli.deployment import Deployment, Domains, InEdition, deployed
from headrace.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from headrace.streams.settings import Settings
    from headrace.topology.names import SinkName


class Form(Enum):
    """How rules are written."""

    KAFKA_ACLS = "kafka-acls"
    STRIMZI = "strimzi"
    JSON = "json"


@deployed
def acls(
    deployment: Deployment,
    domain: Domains = None,
    role: Annotated[
        list[str] | None, typer.Option(help="ops, worker, client, facts, operator or connect; all by default.")
    ] = None,
    principal: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="Whom a role is played by, as worker=User:shop; User:ROLE by default."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How the rules are written.")] = Form.KAFKA_ACLS,
    cluster: Annotated[str, typer.Option(help="Name of the Kafka resource, for strimzi.")] = "kafka",
    edition: InEdition = None,
) -> None:
    """Print what each role may do with which topics, groups and transactional ids; needs no Kafka."""
    from headrace.streams.admin import acls

    settings = deployment.settings(own_kafka=False, edition=edition)
    principals = {name: f"User:{name}" for name in acls.ROLES}
    for pair in principal or ():
        name, _, who = pair.partition("=")
        if name not in principals or not who:
            raise Failure(USAGE, f"--principal {pair!r}: must be ROLE=NAME; roles are {', '.join(principals)}")
        principals[name] = who
    if unknown := set(role or ()) - set(principals):
        raise Failure(USAGE, f"no role {sorted(unknown)[0]!r}; roles are {', '.join(principals)}")
    sinks = _of_connect(deployment, settings, domain)
    found = acls.rules(deployment.topology, settings.names, settings.edition, domain, sinks)
    found = {name: ruled for name, ruled in found.items() if not role or name in role}
    if form is Form.JSON:
        typer.echo(json.dumps(acls.rows(found, principals)))
    elif form is Form.STRIMZI:
        typer.echo("\n".join(acls.strimzi(found, principals, cluster)))
    else:
        typer.echo("\n".join(acls.kafka_acls(found, principals)))


def _of_connect(
    deployment: Deployment, settings: "Settings", components: list[str] | None
) -> "dict[SinkName, tuple[str, ...]]":
    """The declared sinks that Connect runs, of these components, and further topics of each."""
    if (sinks := declared(deployment)) is None:
        return {}
    with failures():
        found = sinks.render(settings.names, settings.edition)
    return {one.source.sink: one.topics for one in found if not components or one.source.component in components}

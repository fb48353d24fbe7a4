"""`headrace topology`: what a deployment runs, to look at."""

import json
from typing import Annotated

import typer

from headrace.cli.deployment import Deployment, Json, deployed


@deployed
def topology(
    deployment: Deployment,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    as_json: Json = False,
) -> None:
    """Print what the deployment runs; needs no Kafka."""
    from headrace.topology import describe

    graph, settings = deployment.topology, deployment.settings(own_kafka=False)
    names, edition = settings.names, settings.edition
    if mermaid:
        typer.echo(graph.mermaid(names, edition))
        return
    if not as_json:
        typer.echo(graph.text(names, edition))
        return
    found = describe.rows(graph.descriptions)
    for row in found["domains"]:
        row["topics"] = [t.name for t in graph.topics(names, settings.partitions, edition, [row["domain"]])]
    for row in found["workflows"]:
        row["reads"] = graph.inputs(row["name"], names, edition)
        row["topics"] = [t.name for t in graph.topics(names, settings.partitions, edition, [row["name"]])]
    typer.echo(json.dumps({"topology": deployment.reference, "edition": edition, **found}))

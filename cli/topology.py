"""`headrace topology`: what a deployment runs, to look at."""

import json
from typing import Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, deployed


@deployed
def topology(
    deployment: Deployment,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    as_json: Json = False,
) -> None:
    """Print what the deployment runs; needs no Kafka."""
    from headrace.topology.inspection import type_name

    graph, settings = deployment.topology, deployment.settings(own_kafka=False)
    names, edition = settings.names, settings.edition
    if mermaid:
        typer.echo(graph.mermaid(names, edition))
        return
    if not as_json:
        typer.echo(graph.text(names, edition))
        return
    rows: list[dict[str, Any]] = [
        {
            "domain": spec.domain,
            "aggregate": spec.name,
            "state": type_name(spec.state),
            "commands": [
                {"type": name, "events": [type_name(event) for event in handler.events], "merge": handler.merge.value}
                for name, handler in spec.handlers.items()
            ],
            "topics": [t.name for t in graph.topics(names, settings.partitions, edition, [spec.domain])],
        }
        for spec in graph.aggregates.values()
    ]
    workflows = [
        {
            "name": word,
            "kind": kind,
            "class": spec.name,
            "events": [
                {"type": name, "commands": [type_name(command) for command in reaction.sends]}
                for name, reaction in spec.reactions.items()
            ],
            "reads": graph.inputs(word, names, edition),
            "topics": [t.name for t in graph.topics(names, settings.partitions, edition, [word])],
        }
        for kind, specs in (("saga", graph.sagas), ("process manager", graph.processes))
        for word, spec in specs.items()
    ]
    found = {"topology": deployment.reference, "edition": edition, "domains": rows, "workflows": workflows}
    typer.echo(json.dumps(found))

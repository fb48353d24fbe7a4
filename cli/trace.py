"""`headrace trace`: what one cause led to."""

import json
from typing import Annotated

import typer

from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import NO, Failure
from headrace.cli.escape import printable


@deployed
def trace(
    deployment: Deployment,
    correlation_id: Annotated[str, typer.Argument(metavar="CORRELATION_ID")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    as_json: Json = False,
) -> None:
    """Print the tree of commands, events, rejections and dead letters of a correlation id, from the topics alone."""
    from headrace.streams.admin import trace as tracks

    roots = tracks.trace(deployment.settings(), deployment.topology, correlation_id)
    if not roots:
        raise Failure(NO, f"no record has the correlation id {correlation_id}")
    if as_json:
        typer.echo(json.dumps([node.data() for node in roots]))
        return
    for line in tracks.mermaid(roots) if mermaid else tracks.text(roots):
        typer.echo(printable(line))

"""`headrace positions`: how far components have come in their inputs, and where they are to go on."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import ENVIRONMENT, NO, USAGE, Failure

if TYPE_CHECKING:
    from headrace.streams.admin.positions import Place

app = typer.Typer(
    help="How far components have come in their inputs: show, set.", no_args_is_help=True, rich_markup_mode=None
)

Component = Annotated[str, typer.Argument(metavar="COMPONENT", help="A domain, saga, process manager or its feed.")]


@app.command()
@deployed
def show(deployment: Deployment, component: Component, as_json: Json = False) -> None:
    """Show a component's positions, as its changelog holds them, beside what the log holds.

    Exit code 1 if a position does not fit the log.
    """
    from headrace.streams.admin import positions

    places = positions.show(deployment.settings(), deployment.topology, component)
    _print(places, as_json)
    if any(place.position is not None and not place.fits for place in places):
        raise typer.Exit(NO)


@app.command("set")
@deployed
def set_(
    deployment: Deployment,
    component: Component,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One of its inputs.")],
    to: Annotated[str, typer.Option(help="An offset, oldest or end.")],
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition; several times.")] = None,
    as_json: Json = False,
) -> None:
    """Say where a component goes on in an input; none of its workers may run.

    What lies before is never handled. What lies after is, also if it was before: commands and events that are known
    still (HEADRACE_RESULTS_KEPT) change nothing; others are carried out again.
    """
    from headrace.streams.admin import groups, positions

    try:
        places = list(
            positions.set_positions(deployment.settings(), deployment.topology, component, topic, to, partition or ())
        )
    except groups.GroupInUse as error:
        raise Failure(ENVIRONMENT, str(error)) from None
    except ValueError as error:
        raise Failure(USAGE, f"--to {error}") from None
    _print(places, as_json)


def _print(places: "list[Place]", as_json: bool) -> None:
    for place in places:
        if as_json:
            typer.echo(json.dumps(asdict(place)))
        else:
            position = "not known" if place.position is None else f"{place.position}"
            note = "" if place.fits or place.position is None else "  does not fit"
            typer.echo(f"{place.topic}/{place.partition}  {position}  of {place.first} … {place.end}{note}")

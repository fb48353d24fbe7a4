"""`headrace editions`: branches of the history, each with topics of its own."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import NO, USAGE, Failure
from headrace.cli.escape import printable

if TYPE_CHECKING:
    from headrace.streams.editions.deletion import Deleted
    from headrace.streams.editions.record import Edition

app = typer.Typer(
    help="Branches of the history: create, list, describe, diff, delete, prune.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of an edition.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait for workers that hold it.")]


@app.command()
@deployed
def create(
    deployment: Deployment,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and hyphens.")],
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POINT",
            help="Where it begins, by default now: a time such as 2026-11-27T17:30:00Z; DOMAIN/ROOT:SEQUENCE, which is "
            "when that event was recorded, with just it as the root's last one; or DOMAIN:SEQUENCE for each root of a "
            "domain. May be given several times.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="It sees all of a root until it writes the root's first event itself.")
    ] = False,
    parent: Annotated[str, typer.Option("--from", metavar="EDITION", help="The edition that it continues.")] = "main",
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="When `prune` may delete it, such as 12h or 7d; never by default.")
    ] = "",
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    projections: Annotated[
        list[str] | None,
        typer.Option(metavar="PROJECTOR", help="A projector that runs in it; refused so far."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an edition. Exit code 1 if it cannot be made: the name is taken, or the point is beyond the log."""
    from headrace.streams.editions import creation
    from headrace.streams.editions.at import parse_duration
    from headrace.streams.editions.registry import EditionRefused

    try:
        duration = parse_duration(expires) if expires else None
    except ValueError as error:
        raise Failure(USAGE, f"--expires: {error}") from None
    try:
        made = creation.create(
            deployment.settings(),
            deployment.topology,
            name,
            at=at or (),
            follow=follow,
            parent=parent,
            expires=duration,
            note=note,
            projections=projections or (),
        )
    except EditionRefused as error:
        raise Failure(NO, str(error)) from None
    if as_json:
        typer.echo(json.dumps({**row(made.edition), "topics": made.topics, "registry_ms": round(made.registry_ms, 1)}))
        return
    typer.echo(_text(made.edition))
    typer.echo(f"{len(made.topics)} topic(s) made; workers make the others when they need them")


@app.command("list")
@deployed
def list_(deployment: Deployment, as_json: Json = False) -> None:
    """Print all editions but main, and those that are being deleted. Exit code 1 if there are none."""
    from headrace.streams.editions.record import DELETED
    from headrace.streams.editions.registry import Registry

    found = [edition for edition in Registry(deployment.settings()).all().values() if edition.state != DELETED]
    for edition in sorted(found, key=lambda one: one.name):
        typer.echo(json.dumps(row(edition)) if as_json else _text(edition))
    if not found:
        raise typer.Exit(NO)


@app.command()
@deployed
def describe(deployment: Deployment, name: Name, as_json: Json = False) -> None:
    """Print where an edition begins, its topics, the editions that continue it, and the workers that hold it."""
    from headrace.streams.editions import topics
    from headrace.streams.editions.holders import holders
    from headrace.streams.editions.record import DELETED
    from headrace.streams.editions.registry import EditionUnknown, Registry

    settings = deployment.settings()
    editions = Registry(settings).all()
    edition = editions.get(name)
    if edition is None or edition.state == DELETED:
        raise EditionUnknown(f"there is no edition {name!r}; `headrace editions list` shows them")
    children = sorted(one.name for one in editions.values() if one.parent == name and one.state != DELETED)
    held = sorted(worker for worker, ids in holders(settings).items() if edition.id in ids)
    there = topics.owned(settings, name)
    if as_json:
        typer.echo(json.dumps({**row(edition), "children": children, "workers": held, "topics": there}))
        return
    typer.echo(_text(edition))
    for what, names in (("continued by", children), ("held by", held), ("topics", there)):
        typer.echo(f"{what}: {', '.join(names) or 'none'}")


@app.command()
@deployed
def diff(
    deployment: Deployment,
    first: Annotated[str, typer.Argument(metavar="EDITION", help="Such as main.")],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Print the roots whose events are not the same in two editions, and which fields of their states differ.

    Reads the events topics of both and of their parents. Exit code 1 if there are differences.
    """
    from headrace.streams.editions import diff as editions_diff

    count = 0
    for one in editions_diff.diff(deployment.settings(), deployment.topology, first, second):
        count += 1
        if as_json:
            sequences = dict(zip((first, second), one.sequences, strict=False))
            found = {"component": one.component, "root": one.root, "sequences": sequences, "fields": list(one.fields)}
            typer.echo(json.dumps(found))
        else:
            last = ", ".join(f"{name} {at}" for name, at in zip((first, second), one.sequences, strict=True))
            fields = ", ".join(one.fields) or "the state is the same"
            typer.echo(f"{one.component}/{printable(one.root)}  last events: {last}  differs: {fields}")
    if count:
        raise typer.Exit(NO)


@app.command()
@deployed
def delete(deployment: Deployment, name: Name, timeout: Timeout = 60.0, as_json: Json = False) -> None:
    """Delete an edition and its topics, once no worker holds it any more.

    Whatever was stopped in between goes on when it is run again. Exit code 1 if another edition continues it, 4 if
    workers still hold it.
    """
    from headrace.streams.editions import deletion
    from headrace.streams.editions.registry import EditionRefused

    try:
        gone = deletion.delete(deployment.settings(), name, timeout)
    except EditionRefused as error:
        raise Failure(NO, str(error)) from None
    _say(gone, as_json)


@app.command()
@deployed
def prune(deployment: Deployment, timeout: Timeout = 60.0, as_json: Json = False) -> None:
    """Delete the editions whose time is over, and finish deletions that were stopped."""
    from headrace.streams.editions import deletion

    for gone in deletion.prune(deployment.settings(), timeout):
        _say(gone, as_json)


def _say(gone: "Deleted", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"name": gone.name, "id": gone.id, "topics": gone.topics}))
    else:
        typer.echo(f"deleted {gone.name}, with {len(gone.topics)} topic(s)")


def row(edition: "Edition") -> dict[str, Any]:
    """An edition as JSON shows it; times as RFC 3339."""
    from headrace.schemas.record import rfc3339

    cut = edition.cut
    return {
        "name": edition.name,
        "id": edition.id,
        "state": edition.state,
        "parent": edition.parent,
        "follow": cut.moment is None,
        "at": None if cut.moment is None else rfc3339(cut.moment),
        "sequences": {
            **cut.domains,
            **{f"{domain}/{root}": sequence for (domain, root), sequence in cut.roots.items()},
        },
        "created": rfc3339(edition.created),
        "expires": None if edition.expires is None else rfc3339(edition.expires),
        "note": edition.note,
        "projections": list(edition.projections),
    }


def _text(edition: "Edition") -> str:
    shown = row(edition)
    begins = f"follows {shown['parent']}" if shown["follow"] else f"{shown['parent']} at {shown['at']}"
    points = "".join(f", {what}:{sequence}" for what, sequence in shown["sequences"].items())
    expires = f"  expires {shown['expires']}" if shown["expires"] else ""
    state = "" if edition.live else f"  {edition.state}"
    return f"{edition.name}  {begins}{points}{state}{expires}{'  ' if edition.note else ''}{edition.note}"

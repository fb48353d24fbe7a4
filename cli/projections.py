"""`headrace projections`: versions of projectors, which of them serves, and how far each one is."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.connect import Address, client, failures
from headrace.cli.declared_sinks import declared
from headrace.cli.deployment import Deployment, Json, deployed
from headrace.cli.errors import NO, UNKNOWN, Failure

if TYPE_CHECKING:
    from headrace.streams.admin.projections import Target, VersionStatus
    from headrace.streams.settings import Settings

app = typer.Typer(
    help="Versions of projectors: list, status, wait, switch, drop.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A projector's name, without a version.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="One of its versions.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")]


@app.command("list")
@deployed
def list_(deployment: Deployment, as_json: Json = False) -> None:
    """Print the versions that the topology or the cluster has, and which of them serves."""
    from headrace.streams.admin import projections
    from headrace.streams.admin.serving import serving

    settings = deployment.settings()
    known, recorded = projections.versions(settings, deployment.topology), serving(settings)
    for name, versions in known.items():
        serves = projections.serves(versions, recorded.get(name))
        here = list(deployment.topology.projectors.get(name, {}))
        if as_json:
            typer.echo(json.dumps({"projection": name, "versions": versions, "serves": serves, "in_topology": here}))
        else:
            gone = [str(version) for version in versions if version not in here]
            note = f"; not in the topology: {', '.join(gone)}" if gone else ""
            typer.echo(f"{name}  versions {', '.join(map(str, versions))}; {serves} serves{note}")


@app.command()
@deployed
def status(
    deployment: Deployment,
    name: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="By default all projectors.")] = None,
    as_json: Json = False,
) -> None:
    """Print how far each version is behind the ends of the logs, in records and in seconds.

    A version with something to do is watched for up to 7 seconds: one that comes no further is stuck. Exit code 1 if
    one is.
    """
    from headrace.streams.admin import projections

    rows = list(projections.status(deployment.settings(), deployment.topology, name or ()))
    for row in rows:
        typer.echo(json.dumps(asdict(row)) if as_json else _text(row))
    if any(row.state == "stuck" for row in rows):
        raise typer.Exit(NO)


@app.command()
@deployed
def wait(deployment: Deployment, name: Name, version: Version, timeout: Timeout = 600.0, as_json: Json = False) -> None:
    """Wait until a version has handled all that is on the log now. Exit code 4 if it has not in time."""
    from headrace.streams.admin import projections

    try:
        projections.await_current(deployment.settings(), deployment.topology, name, version, timeout)
    except projections.NotReady as error:
        raise Failure(UNKNOWN, str(error)) from None
    if as_json:
        typer.echo(json.dumps({"projection": name, "version": version, "current": True}))
    else:
        typer.echo(f"version {version} of {name} has handled all that was on the log")


@app.command()
@deployed
def switch(
    deployment: Deployment,
    name: Name,
    version: Version,
    force: Annotated[bool, typer.Option("--force", help="Also if it has open dead letters.")] = False,
    timeout: Timeout = 600.0,
    connect: Address = "",
    as_json: Json = False,
) -> None:
    """Let a version serve, once it and its sinks have all that is on the log now.

    Moves the search alias and the pointer in Redis. A version that served before can serve again.

    Exit code 1 if it is not ready, or somebody else has switched meanwhile.
    """
    from headrace.streams.admin import projections
    from headrace.streams.admin.serving import ServingChanged

    try:
        with failures():
            settings = deployment.settings()
            new, done = projections.switch(
                settings,
                deployment.topology,
                name,
                version,
                _targets(deployment, settings, name, version, connect),
                force=force,
                timeout=timeout,
            )
    except (projections.NotReady, ServingChanged) as error:
        raise Failure(NO, str(error)) from None
    if as_json:
        typer.echo(json.dumps({"projection": name, **asdict(new), "done": done}))
    else:
        before = "" if new.before is None else f", before it version {new.before}"
        for line in (f"version {new.version} of {name} serves{before}", *done):
            typer.echo(line)


@app.command()
@deployed
def drop(deployment: Deployment, name: Name, version: Version, connect: Address = "", as_json: Json = False) -> None:
    """Delete a version that does not serve: what its sinks have brought elsewhere, its topics and its groups.

    No worker may run it.

    Exit code 1 if it serves.
    """
    from headrace.cli.errors import ENVIRONMENT
    from headrace.streams.admin import groups, projections

    try:
        with failures():
            settings = deployment.settings()
            targets = _targets(deployment, settings, name, version, connect)
            dropped = projections.drop(settings, deployment.topology, name, version, targets)
    except projections.NotReady as error:
        raise Failure(NO, str(error)) from None
    except groups.GroupInUse as error:
        raise Failure(ENVIRONMENT, str(error)) from None
    if as_json:
        typer.echo(json.dumps({"projection": name, "version": version, "dropped": dropped}))
    else:
        for line in dropped:
            typer.echo(line)


def _targets(deployment: Deployment, settings: "Settings", name: str, version: int, connect: str) -> "list[Target]":
    """The sinks of a version, as far as they have something to switch or to drop."""
    from headrace.connectors.targets import targets

    sinks = declared(deployment)
    return [] if sinks is None else targets(sinks, settings, name, version, lambda: client(connect))


def _text(row: "VersionStatus") -> str:
    serves = "  serves" if row.serves else ""
    behind = f", {row.records} record(s) behind, the oldest is {row.seconds:g} s old" if row.records else ""
    dead = f", {row.dead_letters} open dead letter(s)" if row.dead_letters else ""
    return f"{row.projection}  version {row.version}{serves}  {row.state}{behind}{dead}"

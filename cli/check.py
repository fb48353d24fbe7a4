"""`headrace check`: whether a release is right, and whether it can read what the log has."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Domains, Json, deployed
from headrace.cli.errors import NO, USAGE, Failure
from headrace.cli.escape import printable

if TYPE_CHECKING:
    from headrace.streams.steps.fold_check import Difference, FoldCheck


@deployed
def check(
    deployment: Deployment,
    against_log: Annotated[
        bool, typer.Option("--against-log", help="Fold all events on the log, and compare with the snapshots there.")
    ] = False,
    changes_meant: Annotated[
        bool,
        typer.Option("--changes-meant", help="States that will be folded anew may differ from their snapshots."),
    ] = False,
    domain: Domains = None,
    as_json: Json = False,
) -> None:
    """Check the topology; with --against-log, before a deployment, also that its code reads what the log has.

    Reads topics and changes nothing. Exit code 1 if an event cannot be read, or a state is another than its snapshot.
    """
    components = deployment.domains(domain)
    if not against_log:
        if changes_meant:
            raise Failure(USAGE, "--changes-meant is for --against-log")
        typer.echo(json.dumps({"components": components}) if as_json else f"{len(components)} components are right")
        return
    from headrace.cli import logs as log
    from headrace.streams.admin.log_check import check_log

    log.be_quiet()
    found = check_log(deployment.settings(), deployment.topology, components)
    failed = False
    for name, one in found.items():
        wrong = [difference for difference in one.differences if difference.in_use or not changes_meant]
        failed = failed or bool(wrong or one.unreadable)
        if as_json:
            typer.echo(json.dumps(_data(name, one)))
        else:
            _show(name, one)
    if failed:
        raise typer.Exit(NO)


def _show(name: str, found: "FoldCheck") -> None:
    for root, reason in found.unreadable:
        typer.echo(printable(f"{name} {root}: {reason}"))
    for difference in found.differences:
        typer.echo(printable(f"{name} {difference.root}: {_what(difference)}"))
    anew = f"; {found.outdated} of them will be folded anew" if found.outdated else ""
    typer.echo(
        f"{name}: {found.roots} roots, {found.events} events; {len(found.unreadable)} cannot be read, "
        f"{len(found.differences)} of {found.compared} states differ from their snapshots{anew}"
    )


def _what(difference: "Difference") -> str:
    fields = ", ".join(difference.fields)
    if difference.in_use:
        return (
            f"{fields} differs from the snapshot of event {difference.sequence}, which would be used; increase "
            "Snapshots(version=…)"
        )
    return f"{fields} differs from the snapshot of event {difference.sequence}, and will be folded anew"


def _data(name: str, found: "FoldCheck") -> dict[str, Any]:
    return {
        "component": name,
        "roots": found.roots,
        "events": found.events,
        "compared": found.compared,
        "outdated": found.outdated,
        "differences": [difference._asdict() for difference in found.differences],
        "unreadable": [one._asdict() for one in found.unreadable],
    }

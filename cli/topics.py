"""`headrace topics`: what topics a deployment needs, how the cluster differs, and making them."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.deployment import Deployment, Domains, Json, deployed
from headrace.cli.errors import NO

if TYPE_CHECKING:
    from headrace.streams.admin.topics import Topic
    from headrace.streams.settings import Settings
    from headrace.topology.topology import TopicSpec

app = typer.Typer(
    help="The topics of a deployment: create, describe, check.", no_args_is_help=True, rich_markup_mode=None
)

Partitions = Annotated[
    int | None,
    typer.Option(min=1, max=10_000, help="Of each topic; by default HEADRACE_PARTITIONS, else as there, else 12."),
]


@app.command()
@deployed
def create(
    deployment: Deployment,
    domain: Domains = None,
    partitions: Partitions = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=10, help="Copies of each topic; by default as the brokers are set to.")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Change topics that differ: settings; partitions of topics that are empty."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the topics that are missing.

    Exit code 1 if some are there and differ all the same.
    """
    from headrace.streams.admin import topics

    settings, wanted, actual = _look(deployment, domain, partitions, replication=replication)
    missing = [spec for spec in wanted if spec.name not in actual]
    made = sorted(topics.create(settings, missing))
    changed = topics.repair(settings, wanted, actual) if repair else []
    left = _differences(deployment, settings, domain)
    if as_json:
        typer.echo(json.dumps({"created": made, "changed": changed, "problems": left}))
    else:
        for line in [*(f"created {name}" for name in made), *(f"changed {line}" for line in changed)]:
            typer.echo(line)
        if not made and not changed:
            typer.echo(f"nothing to create: {len(wanted)} topics are there")
        for line in left:
            typer.echo(f"still to be done: {line}", err=True)
        if left and not repair:
            typer.echo("`headrace topics create --repair` changes topics that are there", err=True)
    if left:
        raise typer.Exit(NO)


@app.command()
@deployed
def describe(deployment: Deployment, domain: Domains = None, as_json: Json = False) -> None:
    """Print the topics that are needed, as they are."""
    _, wanted, actual = _look(deployment, domain)
    rows = [_row(spec, actual.get(spec.name)) for spec in wanted]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    width = max(len(row["topic"]) for row in rows)
    typer.echo(f"{'topic':<{width}}  {'partitions':>10}  {'copies':>6}  settings")
    for row in rows:
        if not row["exists"]:
            typer.echo(f"{row['topic']:<{width}}  {'missing':>10}")
            continue
        config = " ".join(f"{k}={v}" for k, v in row["config"].items())
        typer.echo(f"{row['topic']:<{width}}  {row['partitions']:>10}  {row['replication']:>6}  {config}")


@app.command()
@deployed
def check(deployment: Deployment, domain: Domains = None, partitions: Partitions = None, as_json: Json = False) -> None:
    """Say how topics differ from what is needed.

    Changes nothing. Exit code 1 if one differs.
    """
    settings = deployment.settings(partitions=partitions)
    left = _differences(deployment, settings, domain)
    if as_json:
        typer.echo(json.dumps({"fit": not left, "problems": left}))
    else:
        for line in left:
            typer.echo(line)
        typer.echo(
            f"{len(left)} difference(s); `headrace topics create` makes missing topics, with --repair changes others"
            if left
            else "the topics are as the deployment needs them"
        )
    if left:
        raise typer.Exit(NO)


def _look(
    deployment: Deployment, domains: list[str] | None, partitions: int | None = None, **options: Any
) -> tuple["Settings", list["TopicSpec"], dict[str, "Topic"]]:
    """The settings, the topics that are needed, and those of them that are there."""
    from headrace.cli import logs as log
    from headrace.streams.admin import topics

    log.be_quiet()
    settings = deployment.settings(partitions=partitions, **options)
    wanted = topics.wanted(settings, deployment.topology, deployment.domains(domains))
    actual = topics.describe(topics.admin(settings), [spec.name for spec in wanted])
    if "partitions" not in settings.model_fields_set:
        wanted = [_like_its_domain(spec, actual) for spec in wanted]
    return settings, wanted, actual


def _like_its_domain(spec: "TopicSpec", actual: dict[str, "Topic"]) -> "TopicSpec":
    """A domain's topics need the same number of partitions, so those that are there set it for those that are not."""
    domain = spec.name.rpartition(".")[0] + "."
    counts = [topic.partitions for name, topic in actual.items() if name.startswith(domain)]
    return replace(spec, partitions=max(counts)) if counts else spec


def _differences(deployment: Deployment, settings: "Settings", domains: list[str] | None) -> list[str]:
    from headrace.cli import logs as log
    from headrace.streams.admin import topics

    log.be_quiet()
    try:
        topics.fit(settings, deployment.topology, deployment.domains(domains))
    except topics.TopicsUnfit as unfit:
        return list(unfit.problems)
    return []


def _row(spec: "TopicSpec", topic: "Topic | None") -> dict[str, Any]:
    if topic is None:
        return {"topic": spec.name, "exists": False}
    shown = [*spec.config, *(name for name in ("max.message.bytes", "min.insync.replicas") if name not in spec.config)]
    return {
        "topic": spec.name,
        "exists": True,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "config": {name: topic.config[name] for name in shown if name in topic.config},
    }

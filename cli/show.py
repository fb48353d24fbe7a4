"""Commands read from JSON, and answers written for people or programs."""

import base64
import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from headrace.cli.errors import USAGE, Failure
from headrace.cli.escape import printable

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from headrace.streams.client import Event, Reply
    from headrace.topology.inspection import ComponentSpec
    from headrace.topology.topology import Topology


def read_text(argument: str) -> str:
    """The JSON that an argument stands for: itself, `@FILE`, or `-` for stdin."""
    try:
        if argument == "-":
            return sys.stdin.read()
        if argument.startswith("@"):
            return Path(argument[1:]).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        source = "stdin" if argument == "-" else argument[1:]
        raise Failure(USAGE, f"the command cannot be read from {source}: {error}") from None
    return argument


def read_command(topology: "Topology", what: str, text: str) -> tuple["ComponentSpec", "Message"]:
    """The aggregate and the command that `what` (a type, a domain, or domain/type) and the JSON name.

    Failure names the type that is unknown, or the field that does not fit.
    """
    from headrace.schemas import codecs

    domain, _, name = what.rpartition("/")
    if not domain and what in topology.aggregates:
        domain = what
        name, text = _split_type(domain, text)
    if domain:
        topology.aggregate(domain)
    found = [
        (spec, handler.message)
        for spec in topology.aggregates.values()
        for full, handler in spec.commands.items()
        if (not domain or spec.name == domain) and name in (full, full.rpartition(".")[2])
    ]
    if not found:
        raise Failure(USAGE, _unknown(topology, domain, name))
    if len(found) > 1:
        choices = ", ".join(f"{spec.name}/{command.DESCRIPTOR.full_name}" for spec, command in found)
        raise Failure(USAGE, f"{name} can mean several commands; write one of: {choices}")
    spec, command = found[0]
    try:
        return spec, codecs.decode(text.encode(errors="surrogatepass"), command, codecs.JSON)
    except codecs.DecodeError as error:
        raise Failure(USAGE, f"{error}; its fields are: {_fields(command)}") from None


def _split_type(domain: str, text: str) -> tuple[str, str]:
    """The value of "@type", and the JSON without it."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Failure(USAGE, f"the command is not JSON: {error}") from None
    name = value.pop("@type", None) if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise Failure(USAGE, f'{domain} is a domain, so the JSON must have the command\'s type: {{"@type": "…", …}}')
    return name.rpartition("/")[2], json.dumps(value)


def _unknown(topology: "Topology", domain: str, name: str) -> str:
    specs = [s for s in topology.aggregates.values() if not domain or s.name == domain]
    short = {full.rpartition(".")[2]: s.name for s in specs for full in s.commands}
    near = difflib.get_close_matches(name.rpartition(".")[2], short, 1, 0.6)
    meant = f" Did you mean {near[0]}?" if near else ""
    where = f"domain {domain}" if domain else "this topology"
    listed = "; ".join(f"{s.name}: {', '.join(n.rpartition('.')[2] for n in s.commands)}" for s in specs)
    return f"{name!r} is neither a command nor a domain of {where}.{meant} Commands by domain: {listed}"


def _fields(command: Any) -> str:
    return ", ".join(field.json_name for field in command.DESCRIPTOR.fields) or "none"


def as_data(message: "Message") -> dict[str, Any]:
    """A message in proto3's JSON mapping, including fields that have their default value."""
    from google.protobuf import json_format, text_format

    try:
        data: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    except Exception as error:  # such as a Timestamp after the year 9999: one value must not hide the others
        return {"@unprintable": str(error), "@text": text_format.MessageToString(message, as_one_line=True)}
    return data


def say(text: str, as_json: bool, *, key: str) -> None:
    """One value, as a line of text or as the one member of an object."""
    typer.echo(json.dumps({key: text}) if as_json else printable(text))


def reply(answer: "Reply", as_json: bool) -> None:
    """The answer to a command."""
    if as_json:
        typer.echo(json.dumps({**answer.data(), "events": [_event(e) for e in answer.events]}))
        return
    again = ", as answered before" if answer.already_processed else ""
    where = (
        f"{answer.root} is at sequence {answer.sequence}" if answer.sequence >= 0 else f"{answer.root} has no events"
    )
    typer.echo(printable(f"{answer.status.value}{again}; {where} (command {answer.command_id})"))
    if answer.reason:
        hint = "; may succeed later" if answer.retryable else ""
        typer.echo(printable(f"  {answer.code}: {answer.reason}{hint}"))
    for one in answer.events:
        typer.echo(f"  {_line(one)}")


def state(domain: str, root: str, found: "Message | None", as_json: bool) -> None:
    """A root's state; with --json, null when there is none."""
    data = None if found is None else as_data(found)
    if as_json:
        typer.echo(json.dumps({"domain": domain, "root": root, "state": data}))
    else:
        typer.echo(printable(json.dumps(data, indent=2, ensure_ascii=False), lines=True))


def event(one: "Event", as_json: bool) -> None:
    """One event on a line, with its origin: a request, or a fact and its external id."""
    origin = f"  (fact {one.fact_id})" if one.fact_id else "  (request)"
    typer.echo(json.dumps(_event(one)) if as_json else _line(one) + printable(origin))


def _event(one: "Event") -> dict[str, Any]:
    shown: dict[str, Any] = {"sequence": one.sequence, "type": one.type, "time": one.time}
    if one.stored != (one.type, 1):
        shown["stored"] = one.stored._asdict()
    if one.data is None:
        shown["raw"] = base64.b64encode(one.raw).decode()
    else:
        shown["data"] = as_data(one.data)
    origin = {"origin": "fact", "fact_id": one.fact_id} if one.fact_id else {"origin": "request"}
    return {**shown, "causation_id": one.causation_id, "correlation_id": one.correlation_id, **origin}


def _line(one: "Event") -> str:
    data = f"({one.stored}, which this program does not know)"
    if one.data is not None:
        data = json.dumps(as_data(one.data), ensure_ascii=False)
    return printable(f"{one.sequence:>4}  {one.time}  {one.type.rpartition('.')[2]}  {data}")

"""The past of the shop: events on its logs before the first worker of today is there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gherkin.parser import Parser

from headrace.schemas.headers import CONTENT_TYPE, ID, SEQUENCE, SOURCE, SPECVERSION, SUBJECT, TIME, TYPE
from headrace.schemas.stored_event import event_key

FEATURE = Path(__file__).with_name("upcasting.feature")
STEP = "an older release has written of "


def tables() -> Iterator[tuple[str, str, list[list[str]]]]:
    """Domain, root and table of each step that says what an older release has written."""
    document: Any = Parser().parse(FEATURE.read_text())
    for child in document["feature"]["children"]:
        for step in child["scenario"]["steps"]:
            if step["text"].startswith(STEP):
                domain, root = step["text"].removeprefix(STEP).split(" ", 1)
                rows = step["dataTable"]["rows"]
                yield domain, root.strip('"'), [[cell["value"] for cell in row["cells"]] for row in rows]


def records(
    domain: str, root: str, events: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[bytes, bytes, list[tuple[str, str | bytes | None]]]]:
    """Key, value and headers of the events of a root, given by type name and bytes."""
    for sequence, (name, value) in enumerate(events):
        headers = {
            SPECVERSION: "1.0",
            ID: f"{root}:{sequence}",
            SOURCE: f"/main/{domain}",
            TYPE: name,
            CONTENT_TYPE: "application/protobuf",
            SUBJECT: root,
            SEQUENCE: str(sequence),
            TIME: "2019-01-01T00:00:00.000Z",
            "ce_correlationid": f"past-of-{root}",
            "ce_causationid": f"past-of-{root}-{sequence}",
        }
        yield event_key(root, sequence).encode(), value, list(headers.items())

"""The steps of projections; README.md lists them."""

import json
from collections.abc import Sequence
from typing import Any

from pytest_bdd import parsers, then

from headrace.schemas.record import Record
from tests.features.shop_steps import COMPONENT
from tests.features.tables import RECORD, Table, same
from tests.features.world import World


def versions(world: World, component: str, document: str) -> Sequence[Record]:
    """All that was written of a document, oldest first."""
    return [record for record in world.records(component, "documents") if record.key == document.encode()]


@then(parsers.re(rf'document "(?P<document>[^"]+)" of {COMPONENT} is (?P<data>{{.*}})'))
def document_is(world: World, document: str, component: str, data: str) -> None:
    found: Any = [json.loads(one.value) if one.value else None for one in versions(world, component, document)]
    assert found, f"{component} has no document {document}"
    assert found[-1] == json.loads(data)


@then(parsers.re(rf'{COMPONENT} has no document "(?P<document>[^"]+)"'))
def no_document(world: World, component: str, document: str) -> None:
    assert [one.value for one in versions(world, component, document)][-1:] in ([], [None])


@then(parsers.re(rf'{COMPONENT} has written document "(?P<document>[^"]+)" because of'))
def written_because_of(world: World, component: str, document: str, datatable: Table) -> None:
    same(versions(world, component, document), datatable, RECORD)


@then(parsers.re(r'a worker with "(?P<topology>[a-z]+)" in place of the shop is refused because "(?P<reason>[^"]+)"'))
def refused(world: World, topology: str, reason: str) -> None:
    assert reason in world.refusal(topology)

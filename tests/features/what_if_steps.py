"""The steps of what-ifs; README.md lists them."""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from pytest_bdd import given, parsers, then, when

from headrace import History, WhatIf
from headrace.streams.in_memory.outcome import Outcome
from tests.features import shop
from tests.features.shop_projectors import Demand, OrderPages
from tests.features.shop_steps import ROOT
from tests.features.tables import Column, Table, data_of, message, message_type, same, short
from tests.features.world import World

PROJECTORS: dict[str, Any] = {"order-pages": OrderPages, "demand": Demand}
IN = r"in (?P<which>a|another|the same) what-if(?P<reactions> with all that follows)?"
EVENT: dict[str, Column] = {
    "type": lambda event: short(event.type),
    "data": lambda event: data_of(short(event.type), event.raw),
    "sequence": lambda event: str(event.sequence),
}
COMMAND: dict[str, Column] = {
    "sender": lambda sent: sent.sender,
    "domain": lambda sent: sent.domain,
    "root": lambda sent: sent.root,
    "type": lambda sent: type(sent.message).__name__,
    "data": lambda sent: data_of(type(sent.message).__name__, sent.message.SerializeToString()),
}


@dataclass
class Asked:
    """The what-if of a scenario."""

    history: History = field(default_factory=lambda: History({}))
    what_if: WhatIf | None = None
    outcome: Outcome | None = None

    def begin(self, which: str, reactions: str | None) -> WhatIf:
        if which != "the same" or self.what_if is None:
            self.what_if = WhatIf(shop.topology, self.history, reactions=bool(reactions))
        return self.what_if

    @property
    def last(self) -> Outcome:
        assert self.outcome is not None
        return self.outcome


@pytest.fixture
def asked() -> Asked:
    return Asked()


@given(parsers.re(rf"the history of {ROOT}(?: as of (?P<as_of>\d+))?"))
def history(world: World, asked: Asked, domain: str, root: str, as_of: str | None) -> None:
    asked.history = world.history_up_to(domain, root, None if as_of is None else int(as_of))


@when(parsers.re(rf"{IN} (?P<kind>\w+) (?P<data>{{.*}}) is sent to {ROOT}"))
def send(asked: Asked, which: str, reactions: str | None, kind: str, data: str, domain: str, root: str) -> None:
    asked.outcome = asked.begin(which, reactions).send(message(kind, data), root, domain=domain)


@when(parsers.re(rf"{IN} the bytes (?P<data>[0-9a-f ]+) are sent to {ROOT} as (?P<kind>\w+)"))
def send_bytes(asked: Asked, which: str, reactions: str | None, data: str, domain: str, root: str, kind: str) -> None:
    name = message_type(kind).DESCRIPTOR.full_name
    asked.outcome = asked.begin(which, reactions).send_encoded(name, bytes.fromhex(data), root, domain=domain)


@then("the what-if shows the events")
def events(asked: Asked, datatable: Table) -> None:
    assert asked.last.accepted, asked.last
    same(asked.last.events, datatable, EVENT)


@then(parsers.re(r'the what-if shows a rejection, "(?P<reason>[^"]+)"'))
def rejected(asked: Asked, reason: str) -> None:
    assert asked.last.rejection is not None, asked.last
    assert (asked.last.rejection.reason, asked.last.events) == (reason, ())


@then(parsers.re(r'the what-if shows an error, "(?P<part>[^"]+)"'))
def error(asked: Asked, part: str) -> None:
    assert part in asked.last.error, asked.last
    assert asked.last.events == ()


@then("the what-if shows the commands, in any order")
def commands(asked: Asked, datatable: Table) -> None:
    same(asked.last.commands, datatable, COMMAND, ordered=False)


@then(parsers.re(r'the what-if shows that (?P<kind>\w+) of "(?P<root>[^"]+)" is rejected, "(?P<reason>[^"]+)"'))
def refused(asked: Asked, kind: str, root: str, reason: str) -> None:
    found = [(short(one.type), one.root, one.reason, one.rejected) for one in asked.last.failures]
    assert found == [(kind, root, reason, True)]


@then(parsers.re(r'the what-if shows document "(?P<document>[^"]+)" of "(?P<projector>[^"]+)" as (?P<data>{.*})'))
def document_shown(asked: Asked, document: str, projector: str, data: str) -> None:
    assert asked.what_if is not None
    found = asked.what_if.documents(PROJECTORS[projector])
    assert msgspec.to_builtins(found[document]) == json.loads(data)

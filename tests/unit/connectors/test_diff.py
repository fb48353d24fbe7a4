"""What a cluster has, compared with what is declared: field by field, ours alone, without secrets."""

from headrace import Names
from headrace.connectors.connect.diff import Difference, differences
from headrace.connectors.connect.references import MASK
from headrace.connectors.connect.rendering import Rendered
from tests.support.sink_cards import sinks

NAMES = Names("shop.")
DECLARED = sinks.render(NAMES, "main")
SAME = {one.name: dict(one.config) for one in DECLARED}
(SEARCH,) = (one for one in DECLARED if one.source.kind == "search")


def compared(actual: dict[str, dict[str, str]], secrets: dict[str, set[str]] | None = None) -> list[Difference]:
    return differences(DECLARED, actual, NAMES, "main", secrets or {})


def changed(one: Rendered, **fields: str | None) -> dict[str, dict[str, str]]:
    config = {name: value for name, value in ({**one.config, **fields}).items() if value is not None}
    return {**SAME, one.name: config}


def test_nothing_differs_where_all_is_as_declared() -> None:
    assert compared(SAME) == []


def test_a_connector_that_is_missing() -> None:
    found = compared({name: config for name, config in SAME.items() if name != SEARCH.name})
    assert [str(one) for one in found] == [f"{SEARCH.name}: connector is missing"]


def test_fields_that_were_changed_added_and_removed_by_hand() -> None:
    found = compared(changed(SEARCH, **{"tasks.max": "9", "extra": "1", "index": None}))
    assert [str(one) for one in found] == [
        f"{SEARCH.name}: extra: '1', declared not set",
        f"{SEARCH.name}: index: not set, declared 'shop.main.player-cards-v1.documents'",
        f"{SEARCH.name}: tasks.max: '9', declared '1'",
    ]


def test_connectors_of_others_are_not_seen_and_left_over_ones_are() -> None:
    others = {"main.player-cards-v1.search": {"a": "b"}, "billing": {"a": "b"}}
    left = {"shop.main.player-cards-v0.search": {"connector.class": "x"}}
    (found,) = compared({**SAME, **others, **left})
    assert str(found) == "shop.main.player-cards-v0.search: is not declared; `headrace connect delete` removes it"


def test_secrets_that_connect_returns_are_masked() -> None:
    plugin = SEARCH.config["connector.class"]
    actual = changed(
        SEARCH,
        **{
            "connection.password": "hunter2",
            "connection.url": "https://a:b@search",
            "pin": "1",
            "connection.username": "m",
        },
    )
    found = {one.field: one.actual for one in compared(actual, {plugin: {"pin"}})}
    assert found == {
        "connection.password": MASK,
        "connection.url": MASK,
        "pin": MASK,
        "connection.username": "m",
    }


def test_what_is_declared_by_reference_hides_what_is_there() -> None:
    (found,) = compared(changed(SEARCH, **{"connection.url": "https://search.internal"}))
    assert (found.declared, found.actual) == ("${env:SEARCH_URL}", MASK)

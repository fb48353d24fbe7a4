"""What is declared, as Connect, a search server and databases get it: compared with files that a person has read.

`SINKS_WRITE=1` writes them anew.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from headrace import Iceberg, Jdbc, Message, Names, Projector, Search, Sinks, Snowflake, field, projects
from headrace.connectors.connect.rendering import Rendered, Source, belongs
from headrace.connectors.fields import Kind, document_fields
from headrace.connectors.search.declaration import PLUGINS, Plugin
from headrace.connectors.sinks import Sink, SinkMistake
from headrace.connectors.snowflake.declaration import PLUGINS as SNOWFLAKES
from tests.support.bank.messages_pb2 import Deposited
from tests.support.sink_cards import PlayerCard, PlayerCards, Seat, sinks, topology

GOLDEN = Path(__file__).parents[2] / "data" / "sinks"
SHOP = Names("shop.")
(SEARCH,) = (one for one in sinks if isinstance(one, Search))


def rendered(sink: Any, offered: tuple[str, ...] = ()) -> Rendered:
    (one,) = Sinks(sink).render(SHOP, "main", offered)
    return one


def check_golden(name: str, one: Rendered) -> None:
    body = None if one.index is None else one.index.body
    data = {"name": one.name, "config": one.config, "index": body, "topics": one.topics, "notes": one.notes}
    data["serving"] = one.serving
    found = {f"{name}.json": json.dumps(data, indent=2) + "\n"}
    if one.sql:
        found[f"{name}.sql"] = ";\n\n".join(one.sql) + ";\n"
    for file, text in found.items():
        if os.environ.get("SINKS_WRITE"):
            (GOLDEN / file).write_text(text)
        assert (GOLDEN / file).read_text() == text


@pytest.mark.parametrize("sink", list(sinks), ids=lambda sink: str(sink.kind))
def test_each_kind_is_rendered_as_its_file_says(sink: Sink) -> None:
    check_golden(sink.kind, rendered(sink))


@pytest.mark.parametrize("plugin", ["confluent", "aiven"])
def test_other_plugins_for_search_are_rendered_too(plugin: Plugin) -> None:
    check_golden(f"search-{plugin}", rendered(replace(SEARCH, plugin=plugin)))


def test_snowflakes_next_version_is_rendered_too() -> None:
    check_golden("snowflake-4", rendered(Snowflake(PlayerCards, version=4)))


def test_the_plugin_is_what_the_workers_have() -> None:
    def chosen(sink: Any, *offered: str) -> str:
        return rendered(sink, offered).config["connector.class"]

    assert chosen(SEARCH) == PLUGINS["headrace"]
    assert chosen(SEARCH, PLUGINS["aiven"]) == PLUGINS["aiven"]
    assert chosen(SEARCH, PLUGINS["aiven"], PLUGINS["confluent"]) == PLUGINS["confluent"]
    assert chosen(SEARCH, *PLUGINS.values()) == PLUGINS["headrace"]
    assert chosen(Snowflake(PlayerCards), *SNOWFLAKES.values()) == SNOWFLAKES[2]
    assert chosen(Snowflake(PlayerCards), SNOWFLAKES[4]) == SNOWFLAKES[4]


def test_all_connectors_read_what_is_committed_and_keep_what_is_refused() -> None:
    for one in sinks.render(Names(), "trial"):
        assert one.config["consumer.override.isolation.level"] == "read_committed"
        assert one.config["errors.deadletterqueue.topic.name"] == one.source.dead_letters
        assert one.config["topics"] == "trial.player-cards-v1.documents"
        assert belongs(one.name, Names(), "trial")


def test_settings_of_the_author_go_before_ours_but_for_what_keeps_promises() -> None:
    wanted = {"max.poll.records": "7", "tasks.max": "3", "consumer.override.isolation.level": "read_uncommitted"}
    config = rendered(Jdbc(PlayerCards, settings=wanted)).config
    assert (config["max.poll.records"], config["tasks.max"]) == ("7", "3")
    assert config["consumer.override.isolation.level"] == "read_committed"


def test_names_tell_deployments_apart() -> None:
    assert belongs("shop.main.player-cards-v1.search", SHOP, "main")
    for foreign in (
        "main.player-cards-v1.search",
        "shop.trial.player-cards-v1.search",
        "shopXmain.player-cards-v1.search",
        "shop.main.player-cards.search",
        "shop.main.player-cards-v1.search.2",
        "xshop.main.player-cards-v1.search",
    ):
        assert not belongs(foreign, SHOP, "main")


# ---- the fields of a document


def test_fields_are_told_by_how_json_has_them() -> None:
    found = {one.name: (one.kind, one.many) for one in document_fields(PlayerCards)}
    assert found == {
        "name": (Kind.TEXT, False),
        "chips": (Kind.INTEGER, False),
        "ratio": (Kind.NUMBER, False),
        "active": (Kind.BOOLEAN, False),
        "worth": (Kind.TEXT, False),
        "born": (Kind.DATE, False),
        "joined": (Kind.MOMENT, False),
        "style": (Kind.TEXT, False),
        "home": (Kind.OBJECT, False),
        "seats": (Kind.OBJECT, True),
        "tags": (Kind.TEXT, True),
        "notes": (Kind.ANY, False),
    }


@dataclass
class Tree:
    value: int | str = 0
    children: "list[Tree] | None" = None
    row: tuple[int, str] = (0, "")
    rows: tuple[tuple[int, ...], ...] = ()


class Trees(Projector[Tree]):
    name = "trees"


class Drawn(Message, package="sinks.v1"):
    suit: str = field(1)
    rank: int = field(2)


class Book(Message, package="sinks.v1"):
    owner: str = field(1)
    open: bool = field(2)
    cards: list[Drawn] = field(3)
    tags: list[str] = field(4)
    chips: dict[str, int] = field(5)


class Books(Projector[Book]):
    name = "books"

    @projects
    def deposited(self, document: Book, event: Deposited) -> None: ...


def test_fields_of_messages_are_told_too() -> None:
    found = document_fields(Books)
    assert {one.name: (one.kind, one.many) for one in found} == {
        "owner": (Kind.TEXT, False),
        "open": (Kind.BOOLEAN, False),
        "cards": (Kind.OBJECT, True),
        "tags": (Kind.TEXT, True),
        "chips": (Kind.ANY, False),
    }
    assert [(one.name, one.kind) for one in found[2].fields] == [("suit", Kind.TEXT), ("rank", Kind.INTEGER)]


def test_what_no_column_can_hold_is_left_open() -> None:
    assert {one.kind for one in document_fields(Trees)} == {Kind.ANY}


class Nameless(Projector):  # type: ignore[type-arg]
    name = "nameless"


def test_a_projector_without_a_document_is_said() -> None:
    with pytest.raises(SinkMistake, match=r"write class Nameless\(Projector\[YourDocument\]\)"):
        rendered(Search(Nameless))


# ---- mistakes


def test_a_projector_that_the_topology_has_not_is_said_with_those_that_it_has() -> None:
    class Ranks(Projector[Seat]):
        name = "ranks"
        version = 3

    sinks.check(topology.components)
    with pytest.raises(SinkMistake) as caught:
        Sinks(Search(Ranks), Jdbc(PlayerCards)).check(topology.components)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("Search(Ranks): the topology has no ranks-v3; it has: account, player-cards-v1")


def test_another_version_is_another_sink() -> None:
    class Next(Projector[PlayerCard]):
        name = "player-cards"
        version = 2

    both = Sinks(Search(PlayerCards), Search(Next)).render(SHOP, "main")
    assert [one.name for one in both] == ["shop.main.player-cards-v1.search", "shop.main.player-cards-v2.search"]


def test_the_same_sink_twice_is_a_mistake() -> None:
    with pytest.raises(SinkMistake, match="player-cards-v1 has a search sink already"):
        Sinks(Search(PlayerCards), Search(PlayerCards))


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        (Search(PlayerCards, {"nmae": {"type": "text"}}), "mappings names nmae, and the document has: name, chips"),
        (Search(PlayerCards, plugin="aiven", api_key="${env:KEY}"), "aiven takes no api_key"),
        (Search(PlayerCards, user="u"), "give user and password, or api_key"),
        (Search(PlayerCards, plugin="other"), "no plugin 'other'; there are headrace, confluent, aiven"),  # type: ignore[arg-type]
        (Jdbc(PlayerCards, table="cards; DROP TABLE x"), "must be a name of small letters"),
        (Snowflake(PlayerCards, schema='P"'), "must be a name without quotes"),
        (Snowflake(PlayerCards, version=3), "there are 2 and 4"),
        (Iceberg(PlayerCards, "cards", {"type": "rest"}), "must be written namespace.table"),
        (Iceberg(PlayerCards, "a.cards", {}), "catalog is empty"),
    ],
)
def test_what_does_not_fit_is_said(sink: Any, said: str) -> None:
    with pytest.raises(SinkMistake) as caught:
        rendered(sink)
    assert said in str(caught.value)


def test_capitals_of_a_prefix_are_in_no_index() -> None:
    with pytest.raises(SinkMistake, match=r"the topic prefix 'Shop\.' has capitals"):
        Sinks(SEARCH).render(Names("Shop."), "main")


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(SinkMistake) as caught:
        Sinks(Jdbc(PlayerCards, table="-"), Iceberg(PlayerCards, "a.b", {})).render(SHOP, "main")
    assert len(caught.value.mistakes) == 2


def test_a_whole_mapping_is_left_as_it_is() -> None:
    whole = {"dynamic": False, "properties": {"name": {"type": "keyword"}}}
    index = rendered(Search(PlayerCards, whole, index_settings={"number_of_shards": 3})).index
    assert index is not None
    assert index.body == {"settings": {"index": {"gc_deletes": "1h", "number_of_shards": 3}}, "mappings": whole}


def test_names_of_a_source() -> None:
    source = Source(SHOP, "main", PlayerCards, "search")
    assert source.dead_letters == "shop.main.player-cards-v1-search.sink-dead-letters"
    assert SHOP.split(source.dead_letters) == ("main", "player-cards-v1-search", "sink-dead-letters")

"""A topology as people read it, and the topics that it needs."""

from headrace import Names
from headrace.topology.describe import rows
from headrace.topology.topology import TopicSpec, replies_topic
from tests.support import purse
from tests.support.bank import reactions


def test_the_lines_of_a_process_manager() -> None:
    lines = reactions.timed.text().split("\n")
    assert lines[lines.index("warden (process manager Warden, state bank.v1.Account)") :] == [
        "warden (process manager Warden, state bank.v1.Account)",
        "  reads   main.purse.events",
        "    bank.v1.Deposited -> bank.v1.Annotate, bank.v1.Touch",
        "  reads   main.book.events",
        "    bank.v1.Annotated -> nothing",
        "  time-outs",
        "    bank.v1.Withdraw -> bank.v1.Annotate, bank.v1.Touch",
        "  reads   main.warden.inbox",
        "    bank.v1.Touch -> bank.v1.Stashed  [rejected]",
        "  writes  main.warden.events",
        "  writes  main.warden.snapshots",
        "  writes  main.warden.dead-letters",
    ]
    assert lines.count("  answers headrace.replies") == 2


def test_the_arrows_of_a_flowchart() -> None:
    """A process manager's time-outs and its own inbox are no arrows from elsewhere."""
    first, *lines = reactions.timed.mermaid().split("\n")
    assert first == "flowchart LR"
    assert lines[lines.index("  book[Book]") :] == [
        "  book[Book]",
        '  book_commands[("main.book.commands")]',
        "  book_commands --> book",
        '  book_events[("main.book.events")]',
        "  book --> book_events",
        '  book_snapshots[("main.book.snapshots")]',
        "  book --> book_snapshots",
        '  book -.-> replies[("headrace.replies")]',
        '  book_dead_letters[("main.book.dead-letters")]',
        "  book --> book_dead_letters",
        "  warden{{Warden}}",
        "  purse_events --> warden",
        "  book_events --> warden",
        '  warden_events[("main.warden.events")]',
        "  warden --> warden_events",
        '  warden_snapshots[("main.warden.snapshots")]',
        "  warden --> warden_snapshots",
        "  warden --> book_commands",
        '  warden_dead_letters[("main.warden.dead-letters")]',
        "  warden --> warden_dead_letters",
    ]
    assert {"  purse_commands --> purse", "  purse_facts --> purse"} <= set(lines)


def test_rows_for_json() -> None:
    found = rows(reactions.topology.descriptions)
    (book,) = (row for row in found["domains"] if row["domain"] == "book")
    assert book == {
        "domain": "book",
        "aggregate": "Book",
        "state": "bank.v1.Account",
        "commands": [
            {"type": "bank.v1.Annotate", "events": ["bank.v1.Annotated"], "merge": "commutative"},
            {"type": "bank.v1.Touch", "events": [], "merge": "commutative"},
        ],
    }
    assert found["workflows"] == [
        {
            "name": "keeper",
            "kind": "saga",
            "class": "Keeper",
            "events": [{"type": "bank.v1.Deposited", "commands": ["bank.v1.Annotate", "bank.v1.Touch"]}],
        }
    ]


def test_topics_have_the_settings_that_promises_rest_on() -> None:
    week, month = {"cleanup.policy": "delete", "retention.ms": "604800000"}, "2592000000"
    of_input, compact = {**week, "message.timestamp.type": "LogAppendTime"}, {"cleanup.policy": "compact"}
    dead_letters = {"cleanup.policy": "delete", "retention.ms": month, "max.message.bytes": "16777216"}
    found = reactions.topology.topics(Names("a."), 5, "main", ["purse"])
    assert {topic.name: (topic.partitions, topic.config) for topic in found} == {
        "a.main.purse.commands": (5, of_input),
        "a.main.purse.facts": (5, of_input),
        "a.main.purse.inbox": (5, {**of_input, "max.message.bytes": "16777216"}),
        "a.main.purse.events": (5, {**compact, "message.timestamp.type": "CreateTime"}),
        "a.main.purse.snapshots": (5, {**compact, "max.message.bytes": "17825792"}),
        "a.main.purse.dead-letters": (5, dead_letters),
    }
    assert replies_topic(Names("a."), 3) == TopicSpec(
        "a.headrace.replies", 3, {"cleanup.policy": "delete", "retention.ms": "3600000"}
    )


def test_what_upcasters_make_of_older_events() -> None:
    lines = purse.today.text().split("\n")
    assert [line for line in lines if line.startswith("  upcasts ")] == [
        "  upcasts purse.v1.Filled1 -> purse.v1.Filled2",
        "  upcasts purse.v1.Filled2 -> purse.v1.Filled",
        "  upcasts purse.v1.Spent -> purse.v1.Spent of version 2",
        "  upcasts purse.v1.Mixed -> purse.v1.Filled, purse.v1.Spent of version 2",
        "  upcasts purse.v1.Noted -> nothing",
    ]
    domains = rows(purse.today.descriptions)["domains"]
    assert [len(row.get("upcasts", ())) for row in domains] == [5, 0]

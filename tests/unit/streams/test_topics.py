"""Topics as the cluster describes them, while somebody deletes one; and what a worker finds wrong with them."""

import dataclasses
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.streams.admin import topics
from headrace.streams.settings import Settings
from headrace.topology.topology import TopicSpec
from tests.support.bank import reactions


class Cluster:
    """Lists two topics, and answers with this error when asked for the settings of `gone`."""

    def __init__(self, error: int) -> None:
        self._error = error

    def list_topics(self, timeout: float) -> Any:
        topic = SimpleNamespace(error=None, partitions={0: SimpleNamespace(replicas=[1])})
        return SimpleNamespace(topics={"here": topic, "gone": topic})

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, Future[Any]]:
        answers: dict[Any, Future[Any]] = {resource: Future() for resource in resources}
        for resource, answer in answers.items():
            if resource.name == "gone":
                answer.set_exception(KafkaException(KafkaError(self._error)))
            else:
                answer.set_result({"cleanup.policy": SimpleNamespace(value="compact")})
        return answers


def test_a_topic_deleted_since_it_was_listed_is_missing() -> None:
    cluster = cast(AdminClient, Cluster(KafkaError.UNKNOWN_TOPIC_OR_PART))
    found = topics.describe(cluster, ["here", "gone", "never"])
    assert found == {"here": topics.Topic("here", 1, 1, {"cleanup.policy": "compact"})}


def test_other_trouble_is_raised() -> None:
    with pytest.raises(KafkaException):
        topics.describe(cast(AdminClient, Cluster(KafkaError.TOPIC_AUTHORIZATION_FAILED)), ["here", "gone"])


# ---- what is wrong with them


def spec(name: str, partitions: int = 4, **config: str) -> TopicSpec:
    return TopicSpec(name, partitions, {key.replace("_", "."): value for key, value in config.items()})


def here(*found: topics.Topic) -> dict[str, topics.Topic]:
    return {topic.name: topic for topic in found}


def test_topics_that_are_as_they_should_be_have_no_problems() -> None:
    actual = here(topics.Topic("main.a.events", 6, 1), topics.Topic("main.b.events", 4, 1))
    assert topics.problems([spec("main.a.events"), spec("main.b.events")], actual, fixed_partitions=False) == []


def test_topics_of_one_domain_have_as_many_partitions() -> None:
    actual = here(topics.Topic("main.a.events", 6, 1), topics.Topic("main.a.inbox", 4, 1))
    wanted = [spec("main.a.commands"), spec("main.a.events"), spec("main.a.inbox")]
    assert topics.problems(wanted, actual, fixed_partitions=False) == [
        "main.a.commands is missing",
        "main.a.inbox has 4 partitions, but main.a.events has 6; topics of one domain need the same number",
    ]
    assert topics.problems(wanted, actual, fixed_partitions=True) == [
        "main.a.commands is missing",
        "main.a.events has 6 partitions, not 4",
        "main.a.inbox has 4 partitions, but main.a.events has 6; topics of one domain need the same number",
    ]


@pytest.mark.parametrize(
    ("have", "line"),
    [
        ({"max.message.bytes": "1000", "cleanup.policy": "compact"}, None),
        ({"max.message.bytes": "1001", "cleanup.policy": "compact", "retention.ms": "1"}, None),
        ({"max.message.bytes": "999", "cleanup.policy": "compact"}, "a.b has max.message.bytes=999, not 1000"),
        ({"cleanup.policy": "compact"}, "a.b has max.message.bytes=, not 1000"),
        ({"max.message.bytes": "1000", "cleanup.policy": "delete"}, "a.b has cleanup.policy=delete, not compact"),
    ],
)
def test_settings_are_held_against_what_is_needed(have: dict[str, str], line: str | None) -> None:
    need = spec("a.b", max_message_bytes="1000", cleanup_policy="compact", retention_ms="2")
    found = topics.problems([need], here(topics.Topic("a.b", 4, 1, have)), fixed_partitions=True)
    assert found == ([] if line is None else [line])


def test_all_problems_are_said_at_once() -> None:
    unfit = topics.TopicsUnfit(["a is missing", "b too"])
    assert str(unfit).startswith("2 topic(s) are not as the topology needs them:\n  - a is missing\n  - b too\n")
    assert unfit.problems == ["a is missing", "b too"]


class Everything:
    """A cluster that has all topics of the workflow, but for what a test takes away or adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.settings: Any = Settings(bootstrap="nowhere:1", **settings)
        specs = topics.wanted(self.settings, reactions.topology)
        self.topics = here(*(topics.Topic(s.name, s.partitions, 1, dict(s.config)) for s in specs))
        self.others: list[str] = []
        monkeypatch.setattr(topics, "admin", lambda _: self)
        monkeypatch.setattr(topics, "describe", lambda _, names: {n: self.topics[n] for n in names if n in self.topics})

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics=dict.fromkeys([*self.topics, *self.others]))

    def resize(self, name: str, partitions: int) -> None:
        self.topics[name] = dataclasses.replace(self.topics[name], partitions=partitions)

    def fit(self, domains: list[str] | None = None) -> list[str]:
        """Problems."""
        try:
            topics.fit(self.settings, reactions.topology, domains)
        except topics.TopicsUnfit as unfit:
            return unfit.problems
        return []


def test_a_worker_finds_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Everything(monkeypatch)
    assert cluster.fit() == []
    del cluster.topics["main.purse.events"]
    assert cluster.fit() == ["main.purse.events is missing"], "once, though two of them need it"
    assert cluster.fit(["keeper"]) == ["main.purse.events is missing"], "it reads them"
    assert cluster.fit(["book"]) == []
    del cluster.topics["headrace.replies"]
    assert cluster.fit(["book"]) == ["headrace.replies is missing"]


def test_whatever_may_have_to_wait_has_room_in_the_changelog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an event too large to wait would be overtaken by those behind it."""
    cluster = Everything(monkeypatch)
    events = cluster.topics["main.purse.events"]
    events.config["max.message.bytes"] = str(16 * 1024 * 1024)
    assert cluster.fit() == []
    events.config["max.message.bytes"] = "20000000"
    assert cluster.fit() == [
        "main.purse.events has max.message.bytes=20000000, and such a record could not wait in main.keeper.snapshots, "
        "which takes 17825792: set it there to 20065536 or more"
    ]


def test_the_inputs_of_a_component_have_as_many_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Everything(monkeypatch)
    for name in [name for name in cluster.topics if name.startswith("main.purse.")]:
        cluster.resize(name, 3)
    (line,) = cluster.fit(["keeper"])
    assert line.startswith("the inputs of keeper need the same number of partitions: main.")
    assert "main.purse.events (3)" in line
    assert "main.keeper.inbox (12)" in line


def test_partitions_are_a_certain_number_only_if_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings, problems in ({}, 0), ({"partitions": 12}, 1):
        cluster = Everything(monkeypatch, **settings)
        cluster.resize("headrace.replies", 7)
        for name in [name for name in cluster.topics if name.startswith("main.")]:
            cluster.resize(name, 5)
        found = cluster.fit()
        assert bool(found) is bool(problems)
        assert all(line.endswith("has 5 partitions, not 12") for line in found)


def test_a_topic_of_before_inboxes_is_to_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where commands are taken: others never had one."""
    cluster = Everything(monkeypatch)
    cluster.others = ["main.purse.rejections", "main.keeper.rejections"]
    (line,) = cluster.fit()
    assert line.startswith("main.purse.rejections is of an earlier release; main.purse.inbox took its place")


def test_reply_partitions_are_counted_where_there_is_such_a_topic() -> None:
    replies = SimpleNamespace(error=None, partitions={0: None, 1: None})
    consumer: Any = SimpleNamespace(list_topics=lambda topic, timeout: SimpleNamespace(topics={"r": replies}))
    assert topics.reply_partitions(consumer, "r") == 2
    assert topics.reply_partitions(consumer, "other") == 0
    replies.error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert topics.reply_partitions(consumer, "r") == 0

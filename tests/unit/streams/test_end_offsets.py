"""Ends of logs are asked for again while a broker has not heard yet that it leads a partition."""

from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from headrace.streams.settings import Settings
from headrace.streams.state import topic_reader


class Asked:
    """A consumer whose first answers are errors."""

    errors: ClassVar[list[int]] = []
    count = 0

    def __init__(self, config: dict[str, Any]) -> None:
        pass

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def list_topics(self, topic: str, timeout: float) -> None:
        pass

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        Asked.count += 1
        if Asked.errors:
            raise KafkaException(KafkaError(Asked.errors.pop(0)))
        return [TopicPartition(one.topic, one.partition, 7 if one.offset == -1 else 0) for one in asked]


def ask(monkeypatch: pytest.MonkeyPatch, *errors: int) -> topic_reader.Ends:
    monkeypatch.setattr(topic_reader, "Consumer", Asked)
    monkeypatch.setattr(topic_reader, "_LOOK_AGAIN", 0.0)
    monkeypatch.setattr(Asked, "errors", list(errors))
    monkeypatch.setattr(Asked, "count", 0)
    return topic_reader.end_offsets(Settings(bootstrap="127.0.0.1:1"), [("t", 0), ("t", 1)])


def test_a_topic_that_was_just_made(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    assert ask(monkeypatch, *errors) == {("t", 0): (0, 7), ("t", 1): (0, 7)}
    assert Asked.count == 4


def test_any_other_error_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        ask(monkeypatch, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert Asked.count == 1


def test_a_leader_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "_LEADER_WITHIN", -1.0)
    with pytest.raises(KafkaException, match="NOT_LEADER_FOR_PARTITION"):
        ask(monkeypatch, KafkaError.NOT_LEADER_FOR_PARTITION)

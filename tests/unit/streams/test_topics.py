"""Topics as the cluster describes them, while somebody deletes one."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.streams.admin import topics


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

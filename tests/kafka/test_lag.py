"""Kafka's own lag: what its tools show of a group, and what deployments are scaled by, down to nothing."""

import pytest
from confluent_kafka import Producer

from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import until
from tests.support.lag import lag
from tests.support.workflow_deployment import WorkflowDeployment

pytestmark = pytest.mark.kafka


def test_kafkas_lag_reaches_zero(workflow: WorkflowDeployment) -> None:
    """Markers of transactions lie behind the last record, those of other producers too."""
    worker = workflow.worker().start().await_ready()
    workflow.deposit(p=[1, 2, 7], q=[1, 72])
    producer = Producer({"bootstrap.servers": workflow.settings.bootstrap, "transactional.id": f"{workflow.name}-x"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(workflow.topic("purse", "commands"), pb.Deposit(amount=1).SerializeToString(), b"r", 0)
    producer.flush(20)
    producer.abort_transaction(20)
    components = list(workflow.topology.components)
    until(
        lambda: all(lag(workflow.settings, workflow.topology, component) == 0 for component in components),
        "no component has lag",
    )

    def shown() -> list[float]:
        found = worker.metrics()
        return [found[f'headrace_lag_records{{domain="{component}"}}'] for component in components]

    until(lambda: shown() == [0.0] * len(components), "metrics say so too")
    workflow.settled()
    worker.stop()

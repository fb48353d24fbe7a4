"""Tells clients, by the replies topic, that Redis has documents for which they wait."""

from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.connectors.redis.confirmation import Confirmation
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import CONTENT_TYPE, ID, SOURCE, SPECVERSION, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import Projected
from headrace.schemas.ids import ReplyTarget
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.topology.names import source
from headrace.topology.topology import REPLIES_KEPT

log = structlog.get_logger()
_SECONDS = 10.0
_AGAIN = (KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


class Confirmer:
    """Acknowledges documents of one component. For one thread."""

    def __init__(self, settings: Settings, component: str, sink: str, report: Callable[[KafkaError], None]) -> None:
        self._component, self._sink, self._replies = component, sink, settings.names.replies
        self._kafka = Producer(settings.producer(enable_idempotence=True, linger_ms=0) | {"error_cb": report})
        self._headers: Headers = [
            (SPECVERSION, "1.0"),
            (SOURCE, source(settings.edition, f"{component}/{sink}")),
            (TYPE, "headrace.v1.Projected"),
            (CONTENT_TYPE, PROTOBUF),
        ]
        self._errors: list[KafkaError] = []

    def send(self, found: Sequence[Confirmation]) -> None:
        """Tell them. Those who have waited for longer than replies are kept are left out, as when Redis is filled.

        Raises KafkaException if the brokers do not answer; what they refuse is logged, and is not tried again.
        """
        now = now_ms()
        for one in found:
            target = ReplyTarget.parse(one.reply_to)
            if target is not None and target.topic == self._replies and now - one.at < REPLIES_KEPT:
                self._produce(one, target)
        left = self._kafka.flush(_SECONDS)
        errors, self._errors = self._errors, []
        if left:
            self._kafka.purge()
            errors.append(KafkaError(KafkaError._TIMED_OUT))
        if lost := next((error for error in errors if error.code() in _AGAIN), None):
            raise KafkaException(lost)
        if errors:
            log.warning("whoever waits for documents is not told", domain=self._component, error=str(errors[0]))

    def _produce(self, one: Confirmation, target: ReplyTarget) -> None:
        projected = Projected(
            component=self._component, sequence=one.sequence, sink=self._sink, document=one.document
        ).SerializeToString()
        headers = [*self._headers, (ID, one.command_id)]
        try:
            self._kafka.produce(
                target.topic, projected, one.command_id, target.partition, on_delivery=self._sent, headers=headers
            )
        except KafkaException as error:  # such as a partition that the topic does not have
            self._errors.append(error.args[0])

    def _sent(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._errors.append(error)

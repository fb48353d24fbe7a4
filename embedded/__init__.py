"""An embedded Apache Kafka: fetched once, started in seconds, stopped when the program ends."""

from headrace.extras import MissingExtra

try:
    from headrace.embedded.broker import EmbeddedKafka, prepare
    from headrace.embedded.errors import (
        BrokerFailed,
        DataMismatch,
        EmbeddedKafkaError,
        JarsUnavailable,
        JavaMissing,
        PortTaken,
    )
    from headrace.embedded.jars import find_jars, find_java
except ModuleNotFoundError as error:
    raise MissingExtra("embedded", error) from error

__all__ = [
    "BrokerFailed",
    "DataMismatch",
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "JarsUnavailable",
    "JavaMissing",
    "PortTaken",
    "find_jars",
    "find_java",
    "prepare",
]

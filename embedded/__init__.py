"""An embedded Apache Kafka, and a Connect worker: fetched once, started in seconds, stopped when the program ends."""

from headrace.extras import MissingExtra

try:
    from headrace.embedded.broker import EmbeddedKafka, prepare
    from headrace.embedded.connect import EmbeddedConnect
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
    "EmbeddedConnect",
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "JarsUnavailable",
    "JavaMissing",
    "PortTaken",
    "find_jars",
    "find_java",
    "prepare",
]

"""Apache Kafka inside Headrace: fetched once, started in seconds, gone when the program ends."""

from headrace.streams.embedded.broker import EmbeddedKafka
from headrace.streams.embedded.errors import (
    BrokerFailed,
    DataMismatch,
    EmbeddedKafkaError,
    JarsUnavailable,
    JavaMissing,
    PortTaken,
)
from headrace.streams.embedded.jars import find_jars
from headrace.streams.embedded.java import find_java
from headrace.streams.embedded.prepare import Prepared, prepare

__all__ = [
    "BrokerFailed",
    "DataMismatch",
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "JarsUnavailable",
    "JavaMissing",
    "PortTaken",
    "Prepared",
    "find_jars",
    "find_java",
    "prepare",
]

"""Apache Kafka inside Headrace: fetched once, started in seconds, gone when the program ends."""

from headrace.embedded.broker import EmbeddedKafka
from headrace.embedded.errors import (
    BrokerFailed,
    DataMismatch,
    EmbeddedKafkaError,
    JarsUnavailable,
    JavaMissing,
    PortTaken,
)
from headrace.embedded.jars import find_jars
from headrace.embedded.java import find_java
from headrace.embedded.prepare import Prepared, prepare

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

"""Errors of the embedded Kafka. Each message says what failed, why, and what to do."""


class EmbeddedKafkaError(RuntimeError):
    """The base class of these errors."""


class JavaMissing(EmbeddedKafkaError):
    """There is no Java to run Kafka with."""


class JarsUnavailable(EmbeddedKafkaError):
    """The jars of Kafka are not in the cache, and cannot be fetched."""


class PortTaken(EmbeddedKafkaError):
    """Another program listens on a port that was requested."""


class DataMismatch(EmbeddedKafkaError):
    """The data folder was made for another number of brokers, or cannot be written."""


class BrokerFailed(EmbeddedKafkaError):
    """The process of a broker, or of a Connect worker, has ended, or was not ready before the deadline."""

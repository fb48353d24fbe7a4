"""What can go wrong with the embedded Kafka. Each message says which thing, why, and what to do."""


class EmbeddedKafkaError(RuntimeError):
    """The base of them all."""


class JavaMissing(EmbeddedKafkaError):
    """There is no Java to run Kafka with."""


class JarsUnavailable(EmbeddedKafkaError):
    """The jars of Kafka are neither in the cache nor to be fetched."""


class PortTaken(EmbeddedKafkaError):
    """Something else listens on a port that was asked for by number."""


class DataMismatch(EmbeddedKafkaError):
    """The data folder was made for another number of brokers, or cannot be written."""


class BrokerFailed(EmbeddedKafkaError):
    """A broker's process ended, or did not get ready before the deadline."""

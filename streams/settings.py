"""Settings of a deployment and of a worker: environment variables `HEADRACE_…`, overridden by options."""

import os
import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.streams.observability.log_throttle import librdkafka
from headrace.topology.names import MAIN, Names, is_name


class Settings(BaseSettings):
    """What `HEADRACE_{NAME}` sets; ValidationError names the variable that is wrong.

    Any setting of librdkafka is passed to every client: `HEADRACE_KAFKA__SASL_PASSWORD=…` is `sasl.password`.
    Their values are never printed.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_nested_delimiter="__", extra="ignore", populate_by_name=True
    )

    bootstrap: str = ""
    """The first brokers to connect to, `host:port,…`."""
    kafka: dict[str, SecretStr] = Field(default_factory=dict)
    """Settings of librdkafka, with dots or underscores."""
    prefix: str = ""
    """Put before each topic's name; ends in a dot."""
    edition: str = MAIN
    partitions: int = Field(default=12, ge=1, le=10_000)
    """Number of partitions of each topic that is created."""
    reply_partitions: int = Field(default=4, ge=1, le=1000)
    replication: int = Field(default=-1, ge=-1, le=10)
    """Number of replicas of each topic that is created; -1: the brokers' default."""
    group_protocol: Literal["consumer", "classic"] = "consumer"
    """`classic` for brokers older than 4.0."""
    static_member: bool = False
    """Whether a worker that is restarted comes back to its partitions, which wait for it as long as its session."""

    state_dir: Path = Path(".headrace/state")
    """Folder of the stores; it may be lost at any time, and is then restored from the changelogs."""
    batch: int = Field(default=1000, ge=1, le=100_000)
    """The most records in one transaction."""
    transaction_timeout: float = Field(default=10.0, gt=0)
    """Seconds after which the broker ends the transaction of a worker that has died."""
    results_kept: float = Field(
        default=7 * 24 * 3600.0,
        gt=0,
        validation_alias=AliasChoices("HEADRACE_RESULTS_KEPT", "HEADRACE_ANSWERS_KEPT"),  # its former name
    )
    """Seconds for which results of commands are kept, so that a repeated command gets its first answer."""
    live_states: int = Field(default=100_000, ge=1)
    """The most state objects that one component keeps in memory."""
    hop_limit: int = Field(default=64, ge=1, le=1000)
    """The most sagas and process managers that one cause may lead through, one after another."""
    webhook: str = ""
    """URL to which escalations are posted as JSON; they are logged in any case."""
    check_purity: bool = False
    """Whether to detect handlers that change the state they are given; slow."""
    web_host: str = "127.0.0.1"
    web_port: int = Field(default=6066, ge=0, le=65535)
    """For health, metrics and dead letters."""
    web_token: SecretStr = SecretStr("")
    """Whoever has it may see and settle dead letters over HTTP; if it is empty, anyone on the worker's machine may."""
    log: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str = ""
    """Where OpenTelemetry spans are sent (OTLP over HTTP); if empty, no spans are created."""

    @field_validator("kafka", mode="before")
    @classmethod
    def _dots(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k).lower().replace("_", "."): v for k, v in value.items()}
        return value

    @field_validator("bootstrap")
    @classmethod
    def _bootstrap(cls, value: str) -> str:
        if "@" in value:  # it is printed; the value is not shown here, as it may hold a secret
            raise ValueError("must be host:port,…; a name and a password are HEADRACE_KAFKA__SASL_…")
        return value

    @field_validator("webhook")
    @classmethod
    def _webhook(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("web_token")
    @classmethod
    def _token(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text.strip("\r\n") and not text.strip():  # an empty file has a line end
            raise ValueError("holds nothing but spaces; leave it out to have no token")
        return value

    @field_validator("edition")
    @classmethod
    def checked_edition(cls, value: str) -> str:
        """`value`, if it can name an edition; "" is main. Raises ValueError."""
        value = value or MAIN
        if not is_name(value):
            raise ValueError("must match [a-z][a-z0-9-]*")
        return value

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        return Names(value).prefix

    @property
    def names(self) -> Names:
        """Topic names of this deployment."""
        return Names(self.prefix)

    @property
    def longest_transaction(self) -> float:
        """Seconds after which a transaction has ended, or never will.

        Brokers look for transactions beyond their timeout every ten seconds; the timeout is doubled for busy brokers.
        """
        return 2 * self.transaction_timeout + 10

    def producer(self, **specific: Any) -> dict[str, Any]:
        """Configuration of a producer that chooses partitions by key, as Java clients do."""
        return self.client(partitioner="murmur2_random", **specific)

    def client(self, **specific: Any) -> dict[str, Any]:
        """Configuration of a librdkafka client; the user's settings win, except over those that the engine needs."""
        if not self.bootstrap:
            raise MissingBootstrap(
                "no Kafka brokers named; set HEADRACE_BOOTSTRAP or --bootstrap, or run `headrace kafka start`"
            )
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "client.id": f"headrace-{socket.gethostname()}-{os.getpid()}",
            "logger": librdkafka,
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.propagation.max.ms": 10_000,
            "allow.auto.create.topics": False,  # a topic created because of a typing error would hide the error
        }
        config.update({name: secret.get_secret_value() for name, secret in self.kafka.items()})
        config.update({name.replace("_", "."): value for name, value in specific.items()})
        return config


class MissingBootstrap(ValueError):
    """No brokers are configured; the text says how to name them."""

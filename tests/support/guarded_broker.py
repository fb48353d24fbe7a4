"""A broker with a second listener, where each user has a name and a password, and may do what ACLs allow."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from confluent_kafka.admin import ResourceType as Kind

from headrace.embedded import EmbeddedKafka
from headrace.embedded.broker import free_ports
from headrace.embedded.settings import HOST, Node, Plan

_KINDS = {"--topic": Kind.TOPIC, "--group": Kind.GROUP, "--transactional-id": Kind.TRANSACTIONAL_ID}


class GuardedBroker:
    """Whoever comes by the first listener may do everything; by the second one, what rules say."""

    def __init__(self, kafka: EmbeddedKafka, address: str, secrets: Mapping[str, str]) -> None:
        self.address, self._secrets = address, secrets
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        made: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), secret.encode())
            for name, secret in secrets.items()
        ]
        for future in self._admin.alter_user_scram_credentials(made).values():
            future.result()

    def allow(self, lines: Iterable[str]) -> None:
        """Enter what lines of kafka-acls.sh add."""
        for future in self._admin.create_acls([rule for line in lines for rule in _rules(line)]).values():
            future.result()

    def user(self, name: str) -> dict[str, str]:
        """Settings of librdkafka for a user."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": name,
            "sasl.password": self._secrets[name],
        }

    def variables(self, name: str) -> dict[str, str]:
        """The same as environment variables of Headrace."""
        return {f"HEADRACE_KAFKA__{key.upper().replace('.', '_')}": value for key, value in self.user(name).items()}


@contextmanager
def guarded_broker(secrets: Mapping[str, str]) -> Iterator[GuardedBroker]:
    """Started, with these users."""
    address = f"{HOST}:{free_ports(1)[0]}"
    settings = Plan.properties

    def properties(plan: Plan, node: Node) -> dict[str, str]:
        own = settings(plan, node)
        for key, more in (
            ("listeners", f"NAMED://{address}"),
            ("advertised.listeners", f"NAMED://{address}"),
            ("listener.security.protocol.map", "NAMED:SASL_PLAINTEXT"),
        ):
            own[key] += f",{more}"
        return own | {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "listener.name.named.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    with mock.patch.object(Plan, "properties", properties), EmbeddedKafka() as kafka:
        yield GuardedBroker(kafka, address, secrets)


def _rules(command: str) -> list[AclBinding]:
    words = shlex.split(command)
    assert words[:2] == ["kafka-acls.sh", "--add"]
    options: dict[str, list[str]] = {}
    for option, value in zip(words[2::2], words[3::2], strict=True):
        options.setdefault(option, []).append(value)
    (principal,) = options["--allow-principal"]
    prefixed = options.get("--resource-pattern-type") == ["prefixed"]
    ((kind, name),) = [(kind, options[option][0]) for option, kind in _KINDS.items() if option in options]
    pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    return [
        AclBinding(
            kind,
            name,
            pattern,
            principal,
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            AclPermissionType.ALLOW,
        )
        for operation in options["--operation"]
    ]

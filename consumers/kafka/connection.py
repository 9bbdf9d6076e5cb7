"""How Kafka is reached: where it is, over TLS or not, as whom; and what the topics are called there."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import SecretStr

from consumers.kafka.topic_names import LOGICAL_NAMES, TopicNames
from consumers.secret_files import read_secret
from consumers.tls import TlsFiles, client_ssl_context


class SaslMechanism(StrEnum):
    """How a user proves who they are."""

    NONE = ""
    """Not at all."""
    PLAIN = "PLAIN"
    """The password itself is sent: only over TLS."""
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    """The password is never sent."""
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    """The same with a longer hash."""


@dataclass(frozen=True, slots=True)
class KafkaClientConfig:
    """A broker, and how to be let in. As a text it is its address."""

    bootstrap: str
    """host:port, several separated by commas."""
    tls: TlsFiles | None = None
    """None: without TLS."""
    sasl: SaslMechanism = SaslMechanism.NONE
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    password_file: str = ""
    topics: TopicNames = LOGICAL_NAMES
    """What the topics are called there."""

    def __str__(self) -> str:
        return self.bootstrap

    def options(self) -> dict[str, Any]:
        """What every aiokafka client is made with. Files are read now. Raises UsageError where one is wrong."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self._protocol()}
        if self.tls is not None:
            options["ssl_context"] = client_ssl_context(self.tls, "kafka")
        if self.sasl:
            options |= {
                "sasl_mechanism": self.sasl.value,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self._secret(),
            }
        return options

    def faust_options(self) -> dict[str, Any]:
        """The same for a Faust app. Raises UsageError where a file is wrong."""
        import faust

        context = None if self.tls is None else client_ssl_context(self.tls, "kafka")
        credentials = None
        if self.sasl:
            credentials = faust.SASLCredentials(
                username=self.user, password=self._secret(), ssl_context=context, mechanism=self.sasl.value
            )
        elif context is not None:
            credentials = faust.SSLCredentials(context)
        return {
            "broker": ";".join(f"kafka://{address.strip()}" for address in self.bootstrap.split(",")),
            "broker_credentials": credentials,
        }

    def _secret(self) -> str:
        return read_secret("kafka_password", self.password, self.password_file)

    def _protocol(self) -> str:
        return f"SASL_{self._transport()}" if self.sasl else self._transport()

    def _transport(self) -> str:
        return "PLAINTEXT" if self.tls is None else "SSL"


KafkaTarget: TypeAlias = KafkaClientConfig | str
"""A broker; an address alone is one that lets everybody in, without TLS."""


def kafka_client_config(where: KafkaTarget) -> KafkaClientConfig:
    """The broker that is meant."""
    return KafkaClientConfig(where) if isinstance(where, str) else where

"""Connection to Kafka: addresses, TLS, SASL, and the topics' names on the broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import SecretStr

from consumers.secret_files import read_secret
from consumers.tls import TlsFiles, client_ssl_context
from consumers.topics import LOGICAL_NAMES, TopicNames


class SaslMechanism(StrEnum):
    """SASL mechanisms."""

    NONE = ""
    """No authentication."""
    PLAIN = "PLAIN"
    """Sends the password: use over TLS only."""
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    """Does not send the password."""
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    """SCRAM with a longer hash."""


@dataclass(frozen=True, slots=True)
class KafkaClientConfig:
    """A broker with its credentials. `str` gives its address."""

    bootstrap: str
    """host:port, several separated by commas."""
    tls: TlsFiles | None = None
    """None: without TLS."""
    sasl: SaslMechanism = SaslMechanism.NONE
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    password_file: str = ""
    topics: TopicNames = LOGICAL_NAMES
    """The topics' names on the broker."""

    def __str__(self) -> str:
        return self.bootstrap

    def options(self) -> dict[str, Any]:
        """Options for any aiokafka client. Reads the files; raises UsageError for an invalid one."""
        protocol = ("SASL_" if self.sasl else "") + ("PLAINTEXT" if self.tls is None else "SSL")
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": protocol}
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
        """Options for a Faust app. Raises UsageError for an invalid file."""
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


KafkaTarget: TypeAlias = KafkaClientConfig | str
"""A broker; a plain address means no TLS and no authentication."""


def kafka_client_config(where: KafkaTarget) -> KafkaClientConfig:
    """The full configuration of a broker."""
    return KafkaClientConfig(where) if isinstance(where, str) else where

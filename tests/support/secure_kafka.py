"""An Apache Kafka with one listener per kind of authentication, started once for many tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority, CertificatePair
from tests.support.kafka import Listener, apache_kafka
from tests.support.servers import Server

USER, PASSWORD = "shop", "correct-horse+battery/staple"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class SecureKafka:
    """The broker and its listeners."""

    server: Server
    """With its own listener, without authentication."""
    authority: Authority
    scram: Listener
    """TLS, and SASL with any mechanism."""
    bare_scram: Listener
    """SASL without TLS, SCRAM-SHA-512 only."""
    tls: Listener
    """TLS only."""
    mutual: Listener
    """TLS with required client certificates."""
    expired: Listener
    """TLS with an expired certificate."""
    misnamed: Listener
    """TLS with a certificate for another host."""


@contextlib.contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """A broker with the user `USER` and `PASSWORD`. `folder`: for certificates."""
    authority = Authority(folder)
    good = authority.issue("broker")
    sasl = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
        "scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
    }
    scram = Listener("scram", "SASL_SSL", {**_certificates(authority, good), **sasl})
    bare = {"sasl.enabled.mechanisms": "SCRAM-SHA-512", "scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;"}
    bare_scram = Listener("bare", "SASL_PLAINTEXT", bare)
    tls = Listener("tls", "SSL", _certificates(authority, good))
    mutual = Listener("mutual", "SSL", {**_certificates(authority, good), "ssl.client.auth": "required"})
    expired = Listener("expired", "SSL", _certificates(authority, authority.issue("expired", days=-1)))
    elsewhere = authority.issue("elsewhere", names=["kafka.example.com"])
    misnamed = Listener("misnamed", "SSL", _certificates(authority, elsewhere))
    users = [f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    listeners = [scram, bare_scram, tls, mutual, expired, misnamed]
    with apache_kafka(listeners=listeners, scram=users) as server:
        yield SecureKafka(server, authority, *listeners)


def _certificates(authority: Authority, pair: CertificatePair) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(pair.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
    }

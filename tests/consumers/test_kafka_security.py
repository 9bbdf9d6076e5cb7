"""Kafka with TLS and SASL, tested against Apache Kafka: connections and their errors."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaClientConfig, SaslMechanism
from consumers.kafka.metadata import require_topics
from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.kafka.standalone import is_readable, read_to_end
from consumers.tls import TlsFiles
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Partition, Topic
from tests.support.certificates import Authority
from tests.support.empty_broker import empty_broker
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def broker(shared_secure_kafka: SecureKafka) -> SecureKafka:
    """A shared broker with the topics."""
    empty_broker(shared_secure_kafka.server.bootstrap)
    asyncio.run(create_topics(shared_secure_kafka.server.bootstrap, default_plans(1)))
    return shared_secure_kafka


def trusting(broker: SecureKafka) -> TlsFiles:
    return TlsFiles(str(broker.authority.ca))


def user(
    broker: SecureKafka, sasl: SaslMechanism = SaslMechanism.SCRAM_SHA_512, password: str = PASSWORD
) -> KafkaClientConfig:
    return KafkaClientConfig(broker.scram.bootstrap, trusting(broker), sasl, USER, SecretStr(password))


def connection_error(kafka: KafkaClientConfig) -> str:
    """The error of a client that lists the topics."""
    with pytest.raises(SalepulseError) as caught:
        asyncio.run(require_topics(kafka))
    message = str(caught.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return message


class TestConnects:
    @pytest.mark.parametrize("sasl", [SaslMechanism.PLAIN, SaslMechanism.SCRAM_SHA_256, SaslMechanism.SCRAM_SHA_512])
    def test_a_user_with_each_mechanism_over_tls(self, broker: SecureKafka, sasl: SaslMechanism) -> None:
        assert asyncio.run(require_topics(user(broker, sasl)))

    def test_a_user_with_scram_without_tls(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(
            broker.bare_scram.bootstrap, None, SaslMechanism.SCRAM_SHA_512, USER, SecretStr(PASSWORD)
        )
        assert asyncio.run(require_topics(kafka))

    def test_a_user_with_a_password_file(self, broker: SecureKafka, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text(f"{PASSWORD}\n")
        kafka = replace(user(broker), password=SecretStr(""), password_file=str(file))
        assert asyncio.run(require_topics(kafka))

    def test_tls_without_a_user(self, broker: SecureKafka) -> None:
        assert asyncio.run(require_topics(KafkaClientConfig(broker.tls.bootstrap, trusting(broker))))

    def test_tls_with_a_trusted_client_certificate(self, broker: SecureKafka) -> None:
        mine = broker.authority.issue("mine")
        files = replace(trusting(broker), cert=str(mine.cert), key=str(mine.key))
        assert asyncio.run(require_topics(KafkaClientConfig(broker.mutual.bootstrap, files)))

    def test_all_kafka_clients_of_salepulse_connect(self, broker: SecureKafka) -> None:
        async def all_of_it() -> list[bytes | None]:
            kafka = user(broker)
            await create_topics(kafka, default_plans(1))
            await send_all(kafka, [OutgoingMessage(Topic.CLICKS, b"key", b"value")])
            assert await is_readable(kafka, Partition(Topic.CLICKS, 0))
            return [record.value async for record in read_to_end(kafka, Topic.CLICKS)]

        assert asyncio.run(all_of_it()) == [b"value"]


class TestConnectionErrors:
    """One line each: the problem, the place and the fix."""

    @pytest.mark.parametrize("sasl", [SaslMechanism.PLAIN, SaslMechanism.SCRAM_SHA_256, SaslMechanism.SCRAM_SHA_512])
    def test_a_wrong_password(self, broker: SecureKafka, sasl: SaslMechanism) -> None:
        assert connection_error(user(broker, sasl, "something else")) == (
            f"Kafka at {broker.scram.bootstrap} rejected user 'shop' with {sasl.value}, the name or the password is "
            "wrong: check kafka_user and kafka_password or kafka_password_file"
        )

    def test_an_unknown_user(self, broker: SecureKafka) -> None:
        assert "rejected user 'stranger' with SCRAM-SHA-512" in connection_error(replace(user(broker), user="stranger"))

    def test_an_unsupported_mechanism(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(
            broker.bare_scram.bootstrap, None, SaslMechanism.SCRAM_SHA_256, USER, SecretStr(PASSWORD)
        )
        assert connection_error(kafka) == (
            f"Kafka at {kafka} does not support SCRAM-SHA-256: set kafka_sasl to a mechanism of that listener"
        )

    def test_an_expired_certificate(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(broker.expired.bootstrap, trusting(broker))
        assert connection_error(kafka) == f"Kafka at {kafka}: its certificate has expired: renew it on the server"

    def test_a_certificate_for_another_host_name(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(broker.misnamed.bootstrap, trusting(broker))
        assert connection_error(kafka) == (
            f"Kafka at {kafka}: its certificate is for another host name: connect by a name in it, or reissue it "
            "for this one"
        )

    @pytest.mark.parametrize("by", ["another authority", "this machine"])
    def test_a_certificate_from_an_unknown_authority(self, broker: SecureKafka, tmp_path: Path, by: str) -> None:
        files = TlsFiles(str(Authority(tmp_path).ca)) if by == "another authority" else TlsFiles()
        kafka = KafkaClientConfig(broker.tls.bootstrap, files)
        assert connection_error(kafka) == (
            f"Kafka at {kafka}: its certificate is signed by an unknown authority: set kafka_ca_file to the "
            "authority's certificate"
        )

    def test_a_missing_client_certificate(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(broker.mutual.bootstrap, trusting(broker))
        assert connection_error(kafka) == (
            f"Kafka at {kafka}: it requires a client certificate: set kafka_cert_file and kafka_key_file"
        )

    def test_a_client_certificate_that_the_broker_does_not_trust(self, broker: SecureKafka, tmp_path: Path) -> None:
        mine = Authority(tmp_path).issue("mine")
        files = replace(trusting(broker), cert=str(mine.cert), key=str(mine.key))
        message = connection_error(KafkaClientConfig(broker.mutual.bootstrap, files))
        assert message.startswith(f"Kafka at {broker.mutual.bootstrap}: it rejected our certificate (")
        assert message.endswith("set kafka_cert_file to one that it trusts")

    def test_plain_text_on_a_tls_port(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(broker.tls.bootstrap)
        assert connection_error(kafka) == (
            f"Kafka at {kafka} closes the connection at once: check the listener's protocol, and try it with "
            "kafka_tls, or with a user (kafka_sasl, kafka_user)"
        )

    def test_tls_on_a_plain_text_port(self, broker: SecureKafka) -> None:
        kafka = KafkaClientConfig(broker.server.bootstrap, trusting(broker))
        message = connection_error(kafka)
        assert message.startswith(f"Kafka at {kafka} closes the connection at once: ")
        assert "without kafka_tls" in message

    def test_a_connection_without_a_user(self, broker: SecureKafka) -> None:
        message = connection_error(KafkaClientConfig(broker.scram.bootstrap, trusting(broker)))
        assert message.startswith(f"Kafka at {broker.scram.bootstrap} closes the connection at once: ")
        assert "with a user (kafka_sasl, kafka_user)" in message


class TestInvalidFiles:
    def test_a_missing_file(self) -> None:
        assert connection_error(KafkaClientConfig("localhost:1", TlsFiles("/nowhere.pem"))) == (
            "kafka_ca_file: /nowhere.pem cannot be read (No such file or directory)"
        )

    def test_a_file_without_a_certificate(self, tmp_path: Path) -> None:
        file = tmp_path / "ca.pem"
        file.write_text("nothing")
        assert f"kafka_ca_file: {file} contains no certificate" in connection_error(
            KafkaClientConfig("localhost:1", TlsFiles(str(file)))
        )

    def test_a_key_of_another_certificate(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        one, other = authority.issue("one"), authority.issue("other")
        message = connection_error(
            KafkaClientConfig("localhost:1", TlsFiles(str(authority.ca), str(one.cert), str(other.key)))
        )
        assert (
            message
            == f"kafka_key_file: {other.key} is not the key of {one.cert}: name the key that belongs to the certificate"
        )

    def test_an_empty_password_file(self, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text("\n")
        message = connection_error(
            KafkaClientConfig("localhost:1", None, SaslMechanism.PLAIN, USER, password_file=str(file))
        )
        assert message == f"kafka_password_file: {file} is empty: write the secret into it"

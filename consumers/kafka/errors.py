"""What a Kafka client raises, as failures told in one line: what was wrong, where, what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from consumers.errors import SalepulseError, check_bootstrap
from consumers.kafka.connection import KafkaClientConfig, KafkaTarget, kafka_client_config
from consumers.tls import tls_error_message

_UNREACHABLE_ERRORS = (KafkaConnectionError, NodeNotReadyError, ConnectionError)
_AUTHORIZATION_ERRORS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
_SASL_MECHANISM_ERRORS = (UnsupportedSaslMechanismError, IllegalSaslStateError)
_AUTHENTICATION_ERRORS = (AuthenticationFailedError, SaslAuthenticationFailed, *_SASL_MECHANISM_ERRORS)
_LOOK_WITHIN_S = 3.0


@asynccontextmanager
async def kafka_errors(where: KafkaTarget) -> AsyncIterator[None]:
    """Turn what a Kafka client raises inside the block into a SalepulseError.

    Clients tell only that they were not let in, not why: then one more connection is made to see.
    """
    kafka = kafka_client_config(where)
    check_bootstrap(kafka.bootstrap)
    try:
        yield
    except SalepulseError:
        raise
    except _UNREACHABLE_ERRORS as error:
        raise await _diagnose_connection(kafka) or to_user_error(error, kafka) from error
    except (KafkaError, TimeoutError) as error:
        raise to_user_error(error, kafka) from error


def to_user_error(error: BaseException, where: KafkaTarget) -> SalepulseError:
    """A client's error in one line."""
    match error:
        case SalepulseError():
            return error
        case _ if isinstance(error, _AUTHENTICATION_ERRORS):
            return _authentication_error(kafka_client_config(where), str(where), error)
        case _ if isinstance(error, _UNREACHABLE_ERRORS):
            return SalepulseError(
                f"no Kafka broker answers at {where}: start it, or name another with --bootstrap", retriable=True
            )
        case TimeoutError() | KafkaTimeoutError() | RequestTimedOutError():
            return SalepulseError(
                f"the Kafka broker at {where} did not answer in time: see whether it is overloaded, then try again",
                retriable=True,
            )
        case UnknownTopicOrPartitionError():
            return SalepulseError(f"a topic is missing at {where}: run `salepulse topics create`", retriable=True)
        case MessageSizeTooLargeError():
            return SalepulseError(
                f"a message is larger than its topic at {where} takes: raise the topic's max.message.bytes, which "
                "`salepulse topics create --take-over NAME` does, or leave the message out",
                retriable=True,
            )
        case _ if isinstance(error, _AUTHORIZATION_ERRORS):
            return SalepulseError(f"{where} does not allow this: {error}: ask for the right to use the topic or group")
    return SalepulseError(
        f"Kafka at {where}: {type(error).__name__}: {error}", retriable=bool(getattr(error, "retriable", False))
    )


async def _diagnose_connection(kafka: KafkaClientConfig) -> SalepulseError | None:
    """Why no broker lets us in, where one is there; None where none is."""
    options = kafka.options()
    del options["bootstrap_servers"]
    for address in kafka.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(_LOOK_WITHIN_S):
                connection = await create_conn(host.strip("[]"), int(port), **options)
                try:
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except (KafkaError, OSError, TimeoutError) as error:
            if found := await _diagnose_error(kafka, address.strip(), host, int(port), error):
                return found
    return None


async def _diagnose_error(
    kafka: KafkaClientConfig, address: str, host: str, port: int, error: BaseException
) -> SalepulseError | None:
    if kafka.tls is not None and (why := tls_error_message(error, kafka.tls, "kafka")):
        return SalepulseError(f"Kafka at {address}: {why}", retriable=True)
    if isinstance(error, _AUTHENTICATION_ERRORS):
        return _authentication_error(kafka, address, error)
    if isinstance(error, (KafkaConnectionError, ConnectionResetError)) and await _accepts_connections(host, port):
        return SalepulseError(f"Kafka at {address} hangs up at once: {_listener_hint(kafka)}", retriable=True)
    return None


def _listener_hint(kafka: KafkaClientConfig) -> str:
    wanted = [
        "without kafka_tls, or a port for TLS" if kafka.tls else "with kafka_tls",
        *(() if kafka.sasl else ("with a user (kafka_sasl, kafka_user)",)),
        *(("with a certificate (kafka_cert_file)",) if kafka.tls and not kafka.tls.cert else ()),
    ]
    return f"see what that listener wants, and try it {', or '.join(wanted)}"


def _authentication_error(kafka: KafkaClientConfig, address: str, error: BaseException) -> SalepulseError:
    if isinstance(error, _SASL_MECHANISM_ERRORS):
        return SalepulseError(
            f"Kafka at {address} does not take {kafka.sasl.value} there: set kafka_sasl to what that listener offers"
        )
    return SalepulseError(
        f"Kafka at {address} refuses user {kafka.user!r} by {kafka.sasl.value}, the name or the password is wrong: see "
        "kafka_user and kafka_password or kafka_password_file"
    )


async def _accepts_connections(host: str, port: int) -> bool:
    """Whether anything accepts connections there."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LOOK_WITHIN_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), port)
            writer.close()
            return True
    return False

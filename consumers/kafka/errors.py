"""Translates errors of Kafka clients into one line: the problem, the place, the fix."""

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
    """Turn Kafka client errors raised in the block into a SalepulseError.

    Clients do not report why a connection was refused, so this connects once more to find out.
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
    """The one-line error for a client's error."""
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
                f"the Kafka broker at {where} timed out: check its load, then try again",
                retriable=True,
            )
        case UnknownTopicOrPartitionError():
            return SalepulseError(f"a topic is missing at {where}: run `salepulse topics create`", retriable=True)
        case MessageSizeTooLargeError():
            return SalepulseError(
                f"a message exceeds max.message.bytes of its topic at {where}: raise it with `salepulse "
                "topics create --take-over NAME`, or omit the message",
                retriable=True,
            )
        case _ if isinstance(error, _AUTHORIZATION_ERRORS):
            return SalepulseError(f"not authorized at {where}: {error}: grant access to the topic or group")
    return SalepulseError(
        f"Kafka at {where}: {type(error).__name__}: {error}", retriable=bool(getattr(error, "retriable", False))
    )


async def _diagnose_connection(kafka: KafkaClientConfig) -> SalepulseError | None:
    """Why brokers refuse the connection; None if no broker can be reached."""
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
            if diagnosis := await _diagnose_error(kafka, address.strip(), host, int(port), error):
                return diagnosis
    return None


async def _diagnose_error(
    kafka: KafkaClientConfig, address: str, host: str, port: int, error: BaseException
) -> SalepulseError | None:
    if kafka.tls is not None and (reason := tls_error_message(error, kafka.tls, "kafka")):
        return SalepulseError(f"Kafka at {address}: {reason}", retriable=True)
    if isinstance(error, _AUTHENTICATION_ERRORS):
        return _authentication_error(kafka, address, error)
    if isinstance(error, (KafkaConnectionError, ConnectionResetError)) and await _accepts_connections(host, port):
        return SalepulseError(
            f"Kafka at {address} closes the connection at once: {_listener_hint(kafka)}", retriable=True
        )
    return None


def _listener_hint(kafka: KafkaClientConfig) -> str:
    suggestions = [
        "without kafka_tls, or a port for TLS" if kafka.tls else "with kafka_tls",
        *(() if kafka.sasl else ("with a user (kafka_sasl, kafka_user)",)),
        *(("with a certificate (kafka_cert_file)",) if kafka.tls and not kafka.tls.cert else ()),
    ]
    return f"check the listener's protocol, and try it {', or '.join(suggestions)}"


def _authentication_error(kafka: KafkaClientConfig, address: str, error: BaseException) -> SalepulseError:
    if isinstance(error, _SASL_MECHANISM_ERRORS):
        return SalepulseError(
            f"Kafka at {address} does not support {kafka.sasl.value}: set kafka_sasl to a mechanism of that listener"
        )
    return SalepulseError(
        f"Kafka at {address} rejected user {kafka.user!r} with {kafka.sasl.value}, the name or the password "
        "is wrong: check kafka_user and kafka_password or kafka_password_file"
    )


async def _accepts_connections(host: str, port: int) -> bool:
    """Whether the port accepts connections."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LOOK_WITHIN_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), port)
            writer.close()
            return True
    return False

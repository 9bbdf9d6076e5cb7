"""What can go wrong outside the program. Every message is an instruction: what was wrong, where, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)


class SalepulseError(Exception):
    """A foreseeable failure, told to a person in one line."""

    exit_code = 1
    """What the command line ends with: 1 failed, 2 wrong usage."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable
        """Whether the same call may succeed later, once the outside world is well or mended."""


class UsageError(SalepulseError):
    """What was asked for makes no sense: a path that is not there, an unknown topic."""

    exit_code = 2


@contextmanager
def kafka_errors(bootstrap: str) -> Iterator[None]:
    """Turn what a Kafka client raises inside the block into a SalepulseError."""
    check_bootstrap(bootstrap)
    try:
        yield
    except SalepulseError:
        raise
    except (KafkaConnectionError, NodeNotReadyError, ConnectionError) as error:
        raise SalepulseError(
            f"no Kafka broker answers at {bootstrap}: start it, or name another with --bootstrap", retriable=True
        ) from error
    except (TimeoutError, KafkaTimeoutError, RequestTimedOutError) as error:
        raise SalepulseError(
            f"the Kafka broker at {bootstrap} did not answer in time: see whether it is overloaded, then try again",
            retriable=True,
        ) from error
    except UnknownTopicOrPartitionError as error:
        raise SalepulseError(
            f"a topic is missing at {bootstrap}: run `salepulse topics create`", retriable=True
        ) from error
    except MessageSizeTooLargeError as error:
        raise SalepulseError(
            f"a message is larger than its topic at {bootstrap} takes: run `salepulse topics create`, which raises "
            "the limit, or leave the message out",
            retriable=True,
        ) from error
    except TopicAuthorizationFailedError as error:
        raise SalepulseError(f"{bootstrap} does not allow this: {error}: ask for the right to use the topic") from error
    except KafkaError as error:
        name = type(error).__name__
        raise SalepulseError(
            f"Kafka at {bootstrap}: {name}: {error}", retriable=bool(getattr(error, "retriable", False))
        ) from error


def check_bootstrap(bootstrap: str) -> None:
    """Raise UsageError unless this is host:port, or several of them separated by commas."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise UsageError(f"{address.strip()!r} is no Kafka address: write host:port, several separated by commas")

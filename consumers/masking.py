"""Masks secrets in everything that a process writes: logs, errors, responses and tracebacks."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

MASK = "***"
_MIN_LENGTH = 4
"""Minimum characters of a secret; shorter ones would match parts of ordinary words."""


class SecretMasker:
    """Replaces known secrets in text."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """Mask a secret from now on; of a URL, its password."""
        for text in _passwords(secret) if "://" in secret else [secret]:
            if len(text) >= _MIN_LENGTH:
                self._secrets.update((text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1]))

    def mask(self, text: str) -> str:
        """The text without known secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text


_PROCESS = SecretMasker()
"""Secrets of this process: added where settings and secret files are loaded, masked where text leaves the process."""
register_secret = _PROCESS.add
mask_secrets = _PROCESS.mask


def mask_url(url: str) -> str:
    """A URL without its password, before the host or among the parameters; `***` for an invalid URL.

    >>> mask_url("unix://app@/run/redis.sock?db=1&password=hunter2")
    'unix://app@/run/redis.sock?db=1&password=***'
    """
    try:
        parts = urlsplit(url)
        query = [(name, MASK if "pass" in name.lower() else text) for name, text in parse_qsl(parts.query)]
    except ValueError:
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user:
        user = f"{user.partition(':')[0]}:{MASK}"
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}", query=urlencode(query, safe="*")))


class MaskedFormatter(logging.Formatter):
    """Masks secrets in log entries and their tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """The masked entry."""
        return mask_secrets(super().format(record))


def mask_tracebacks() -> None:
    """Mask secrets in the tracebacks of uncaught errors."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(mask_secrets("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show
    threading.excepthook = lambda args: show(args.exc_type, args.exc_value, args.exc_traceback)


def _passwords(url: str) -> list[str]:
    """The passwords in a URL, encoded and decoded; the whole text if it is not a URL."""
    try:
        parts = urlsplit(url)
        query = [text for name, text in parse_qsl(parts.query) if "pass" in name.lower()]
    except ValueError:
        return [url]
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    return [*query, password, unquote(password)]

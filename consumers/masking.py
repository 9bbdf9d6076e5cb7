"""No secret is ever shown: what this process knows of, it masks in whatever it says."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

MASK = "***"
_SHORTEST = 4
"""Characters: what is shorter would be found in words that are none."""
_known: set[str] = set()


def register_secret(secret: str) -> None:
    """Have a secret masked in whatever this process says from now on; of a URL its password."""
    for text in _passwords(secret) if "://" in secret else [secret]:
        if len(text) >= _SHORTEST:
            _known.update((text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1]))


def mask_secrets(text: str) -> str:
    """The text without any secret that this process knows."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def mask_url(url: str) -> str:
    """A URL without its password, be it before the host or among the parameters; `***` for what is no URL.

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
    """Formats as usual, tracebacks too, and then masks."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry."""
        return mask_secrets(super().format(record))


def mask_tracebacks() -> None:
    """Have errors that nobody caught shown without secrets."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(mask_secrets("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show
    threading.excepthook = lambda args: show(args.exc_type, args.exc_value, args.exc_traceback)


def _passwords(url: str) -> list[str]:
    """The passwords in a URL, as they are written there and as they are meant; all of it where it is no URL."""
    try:
        parts = urlsplit(url)
        query = [text for name, text in parse_qsl(parts.query) if "pass" in name.lower()]
    except ValueError:
        return [url]
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    return [*query, password, unquote(password)]

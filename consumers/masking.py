"""No secret is ever shown: what this process knows of, it masks in whatever it says."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

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

"""The markup of each channel, with escaping.

Values come from events and are untrusted: they must not create links, mentions or formatting.
"""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass
from typing import Protocol


def one_line(text: str) -> str:
    """Remove line breaks, control characters and bidirectional marks.

    >>> one_line("a\\nb\\u202ec")
    'a b c'
    """
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    return " ".join(clean.split())


def truncated(text: str, most: int) -> str:
    """Truncate to this many characters, with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


class Markup(Protocol):
    """Markup of a channel."""

    def text(self, raw: str) -> str:
        """Escape text."""

    def bold(self, raw: str) -> str:
        """Format text as bold."""

    def link(self, raw: str, url: str) -> str:
        """Format a link."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain text."""

    def text(self, raw: str) -> str:
        return one_line(raw)

    def bold(self, raw: str) -> str:
        return self.text(raw)

    def link(self, raw: str, url: str) -> str:
        return f"{self.text(raw)}: {url}"


@dataclass(frozen=True, slots=True)
class Html:
    """HTML of an e-mail."""

    def text(self, raw: str) -> str:
        return html.escape(one_line(raw))

    def bold(self, raw: str) -> str:
        return f"<b>{self.text(raw)}</b>"

    def link(self, raw: str, url: str) -> str:
        return f'<a href="{html.escape(url)}">{self.text(raw)}</a>'


@dataclass(frozen=True, slots=True)
class SlackMarkup:
    """Slack mrkdwn, where `&`, `<` and `>` create links and mentions (api.slack.com, Formatting text)."""

    def text(self, raw: str) -> str:
        return one_line(raw).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def bold(self, raw: str) -> str:
        return f"*{self.text(raw).replace('*', '∗')}*"

    def link(self, raw: str, url: str) -> str:
        return f"<{url.replace('|', '%7C').replace('>', '%3E')}|{self.text(raw)}>"


_FULL_WIDTH = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "<>[]()*`#~!@|\\"})


@dataclass(frozen=True, slots=True)
class FullWidthMarkdown:
    """Markdown of DingTalk and WeCom, which have no escapes: special characters become full-width."""

    def text(self, raw: str) -> str:
        return one_line(raw).translate(_FULL_WIDTH)

    def bold(self, raw: str) -> str:
        return f"**{self.text(raw)}**"

    def link(self, raw: str, url: str) -> str:
        return f"[{self.text(raw)}]({url.replace('(', '%28').replace(')', '%29')})"


_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in '<>[]()*`_~#\\:+-!"$&'})


@dataclass(frozen=True, slots=True)
class LarkMarkdown:
    """Markdown of Feishu cards, with HTML entities (open.feishu.cn, Rich text component)."""

    def text(self, raw: str) -> str:
        return one_line(raw).translate(_ENTITIES)

    def bold(self, raw: str) -> str:
        return f"**{self.text(raw)}**"

    def link(self, raw: str, url: str) -> str:
        return f"[{self.text(raw)}]({url.replace('(', '%28').replace(')', '%29')})"

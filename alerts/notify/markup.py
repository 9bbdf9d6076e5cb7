"""The markup of each channel, with escaping.

Values come from events and are untrusted: they must not create links, mentions or formatting.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field


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


@dataclass(frozen=True, slots=True)
class Markup:
    """Markup of a channel."""

    name: str
    bold_format: str = "{}"
    link_format: str = "{text}: {url}"
    escapes: Mapping[int, str] = field(default_factory=dict)
    """Replacements in text, for `str.translate`."""
    bold_escapes: Mapping[int, str] = field(default_factory=dict)
    """Further replacements in bold text."""
    url_escapes: Mapping[int, str] = field(default_factory=dict)

    def text(self, raw: str) -> str:
        """Escape text."""
        return one_line(raw).translate(self.escapes)

    def bold(self, raw: str) -> str:
        """Format text as bold."""
        return self.bold_format.format(self.text(raw).translate(self.bold_escapes))

    def link(self, raw: str, url: str) -> str:
        """Format a link."""
        return self.link_format.format(text=self.text(raw), url=url.translate(self.url_escapes))


_HTML_ESCAPES = str.maketrans({c: html.escape(c) for c in "&<>\"'"})
_IN_PARENTHESES = str.maketrans({"(": "%28", ")": "%29"})

PLAIN = Markup("plain text")
HTML = Markup("HTML", "<b>{}</b>", '<a href="{url}">{text}</a>', _HTML_ESCAPES, url_escapes=_HTML_ESCAPES)
SLACK = Markup(
    "Slack",
    "*{}*",
    "<{url}|{text}>",
    str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"}),
    bold_escapes=str.maketrans({"*": "∗"}),
    url_escapes=str.maketrans({"|": "%7C", ">": "%3E"}),
)
"""mrkdwn, where `&`, `<` and `>` create links and mentions (api.slack.com, Formatting text)."""
FULL_WIDTH_MARKDOWN = Markup(
    "DingTalk and WeCom",
    "**{}**",
    "[{text}]({url})",
    str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "<>[]()*`#~!@|\\"}),
    url_escapes=_IN_PARENTHESES,
)
"""Markdown without escapes: special characters become full-width."""
LARK_MARKDOWN = Markup(
    "Feishu",
    "**{}**",
    "[{text}]({url})",
    str.maketrans({c: f"&#{ord(c)};" for c in '<>[]()*`_~#\\:+-!"$&'}),
    url_escapes=_IN_PARENTHESES,
)
"""Markdown of cards, with HTML entities (open.feishu.cn, Rich text component)."""

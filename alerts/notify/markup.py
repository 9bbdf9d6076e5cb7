"""The markup of each channel: how text is made bold or a link, and how a name is kept from being either.

Names come from events, so anybody can choose them: they must not link, mention or format anything.
"""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass
from typing import Protocol


def one_line(text: str) -> str:
    """Text without line breaks, control characters and marks that turn the direction of writing.

    >>> one_line("a\\nb\\u202ec")
    'a b c'
    """
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    return " ".join(clean.split())


def truncated(text: str, most: int) -> str:
    """At most so many characters, with an ellipsis where something is left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


class Markup(Protocol):
    """What a channel makes of text."""

    def text(self, raw: str) -> str:
        """Text that stands for itself."""

    def bold(self, raw: str) -> str:
        """The same, bold."""

    def link(self, raw: str, url: str) -> str:
        """The same, leading somewhere."""


@dataclass(frozen=True, slots=True)
class Plain:
    """No markup at all: text of an e-mail, or of what is not known."""

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
    """Slack's mrkdwn: `&`, `<` and `>` are all that can link or mention (api.slack.com, Formatting text)."""

    def text(self, raw: str) -> str:
        return one_line(raw).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def bold(self, raw: str) -> str:
        return f"*{self.text(raw).replace('*', '∗')}*"

    def link(self, raw: str, url: str) -> str:
        return f"<{url.replace('|', '%7C').replace('>', '%3E')}|{self.text(raw)}>"


_FULL_WIDTH = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "<>[]()*`#~!@|\\"})


@dataclass(frozen=True, slots=True)
class FullWidthMarkdown:
    """Markdown of DingTalk and WeCom, which know no escapes: what would mean something becomes its full-width kind."""

    def text(self, raw: str) -> str:
        return one_line(raw).translate(_FULL_WIDTH)

    def bold(self, raw: str) -> str:
        return f"**{self.text(raw)}**"

    def link(self, raw: str, url: str) -> str:
        return f"[{self.text(raw)}]({url.replace('(', '%28').replace(')', '%29')})"


_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in '<>[]()*`_~#\\:+-!"$&'})


@dataclass(frozen=True, slots=True)
class LarkMarkdown:
    """Markdown of Feishu's cards, where entities escape (open.feishu.cn, Rich text component)."""

    def text(self, raw: str) -> str:
        return one_line(raw).translate(_ENTITIES)

    def bold(self, raw: str) -> str:
        return f"**{self.text(raw)}**"

    def link(self, raw: str, url: str) -> str:
        return f"[{self.text(raw)}]({url.replace('(', '%28').replace(')', '%29')})"

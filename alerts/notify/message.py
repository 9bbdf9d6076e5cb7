"""A message: the notices that are sent together to one receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

from alerts.findings import SEVERITY_ORDER, Severity
from alerts.notify.markup import Markup, one_line, truncated
from alerts.notify.message_text import headline, message_text, render
from alerts.shop import ShopInfo
from alerts.state.notices import Notice, NoticeKind
from alerts.wording.amounts import format_estimate

MAX_NOTICES = 50
"""Maximum notices in one message."""
MAX_FULL_NOTICES = 3
"""Maximum notices with full text; the others have one line each."""
_LINE = 110
"""Maximum characters of a notice in one line."""


@dataclass(frozen=True, slots=True)
class NotificationMessage:
    """The notices of one message; never empty."""

    notices: tuple[Notice, ...]
    """The notices, most severe first."""
    shop: ShopInfo
    now_ms: int

    @property
    def id(self) -> str:
        """Idempotency key of these notices."""
        first = self.notices[0].id
        return (
            first
            if len(self.notices) == 1
            else xxhash.xxh3_64_hexdigest("\n".join(n.id for n in self.notices).encode())
        )

    @property
    def over(self) -> bool:
        """Whether all notices report resolved alerts."""
        return all(notice.kind is NoticeKind.RESOLVED for notice in self.notices)

    @property
    def calls(self) -> bool:
        """Whether to mention people: not in a message that only reports resolved or transferred pages."""
        return not all(notice.kind in (NoticeKind.RESOLVED, NoticeKind.UPDATED) for notice in self.notices)

    @property
    def severity(self) -> Severity:
        """The highest severity."""
        return min((notice.alert.severity for notice in self.notices), key=SEVERITY_ORDER.__getitem__)

    @property
    def title(self) -> str:
        """One line for the whole message."""
        first = headline(self.notices[0])
        return first if len(self.notices) == 1 else f"{first} (and {len(self.notices) - 1} more)"

    def body(self, markup: Markup, most_bytes: int, newline: str = "\n") -> str:
        """Render within a channel's limit: full texts as space permits, and always a line for each critical notice."""
        for in_full in (MAX_FULL_NOTICES, 1, 0):
            text = self._body(markup, newline, in_full, len(self.notices))
            if len(text.encode()) <= most_bytes:
                return text
        for lines in range(len(self.notices) - 1, 0, -1):
            text = self._body(markup, newline, 0, lines)
            if len(text.encode()) <= most_bytes:
                return text
        return text.encode()[: most_bytes - 3].decode(errors="ignore") + "…"

    def _body(self, markup: Markup, newline: str, in_full: int, lines: int) -> str:
        if len(self.notices) == 1:
            in_full = 1
        parts = [render(message_text(notice, self.shop), markup, newline) for notice in self.notices[:in_full]]
        brief = [markup.text(brief_line(notice, self.shop)) for notice in self.notices[in_full:lines]]
        if omitted := len(self.notices) - max(lines, in_full):
            brief.append(markup.text(f"and {omitted} more"))
        if brief:
            parts.append(newline.join(brief))
        return (newline * 2).join(parts)


def brief_line(notice: Notice, shop: ShopInfo) -> str:
    """A notice in one line."""
    finding = notice.alert.finding
    loss_per_minute = finding.money_per_minute
    numbers = "" if notice.kind is NoticeKind.RESOLVED or not finding.summary else f", {one_line(finding.summary)}"
    loss_text = (
        ""
        if loss_per_minute is None or notice.kind is NoticeKind.RESOLVED
        else f", {format_estimate(loss_per_minute, shop)} a minute"
    )
    return truncated(headline(notice) + numbers, _LINE) + loss_text


def by_digest(notices: Sequence[Notice]) -> list[list[Notice]]:
    """The notices by digest and otherwise one by one, in order of creation; those of a digest in their given order."""
    groups: dict[str, list[Notice]] = {}
    for notice in notices:
        groups.setdefault(notice.digest or notice.id, []).append(notice)
    return sorted(groups.values(), key=lambda group: min(notice.created_ms for notice in group))


def worst_first(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """Sort notices: by severity, then firing before resolved, then by loss, then by age."""
    return tuple(
        sorted(
            notices,
            key=lambda notice: (
                SEVERITY_ORDER[notice.alert.severity],
                notice.kind is NoticeKind.RESOLVED,
                -(notice.alert.finding.money_per_minute or 0),
                notice.created_ms,
                notice.id,
            ),
        )
    )

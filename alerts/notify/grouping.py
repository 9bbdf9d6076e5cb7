"""What goes out next to one receiver: in one message what belongs together, or everything where there is no room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from alerts.notify.message import MAX_NOTICES, worst_first
from alerts.state.notification import Notice


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many messages a receiver takes."""

    messages: int
    window_ms: int = 60_000

    @property
    def reserved(self) -> int:
        """How many of them are kept for what is critical."""
        return max(1, self.messages // 5) if self.messages > 1 else 0


class GroupingReason(StrEnum):
    """Why notices are in one message, or why none goes out. Also a metric's label."""

    GROUPED = "grouped"
    """One incident, one message."""
    DIGEST = "digest"
    """There is no room for a message each."""
    ALONE = "alone"
    """It was refused in company."""
    RATE_LIMITED = "rate_limited"
    """The receiver takes no more messages for now."""
    RESERVED = "reserved"
    """What room there is, is kept for what is critical."""


@dataclass(frozen=True, slots=True)
class Send:
    """These go out now, in one message."""

    notices: tuple[Notice, ...]
    reason: GroupingReason


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing goes out before then."""

    until_ms: int
    reason: GroupingReason


def next_message(
    notices: Sequence[Notice], attempts_ms: Sequence[int], rate_limit: RateLimit, now_ms: int
) -> Send | Wait | None:
    """What to do next; None where there is nothing. `attempts_ms`: when was sent, ascending.

    What is critical is never held up by what is not, and is in the next message whichever that is. An end never goes
    before its beginning: one message has both, in the order in which they came to be.
    """
    if not notices:
        return None
    used = [at for at in attempts_ms if at > now_ms - rate_limit.window_ms]
    free = rate_limit.messages - len(used)
    urgent = any(notice.critical for notice in notices)
    if free <= 0:
        return Wait(used[len(used) - rate_limit.messages] + rate_limit.window_ms, GroupingReason.RATE_LIMITED)
    if not urgent and free <= rate_limit.reserved:
        # As many of the oldest must pass as are missing for one more than what is reserved.
        return Wait(used[rate_limit.reserved - free] + rate_limit.window_ms, GroupingReason.RESERVED)
    lonely = {notice.alert.fingerprint for notice in notices if notice.alone}
    company = [notice for notice in notices if notice.alert.fingerprint not in lonely]
    if not company:
        return Send((min(notices, key=lambda notice: notice.created_ms),), GroupingReason.ALONE)
    groups: dict[str, list[Notice]] = {}
    for notice in worst_first(company):
        groups.setdefault(notice.alert.finding.incident or notice.alert.fingerprint, []).append(notice)
    if len(groups) <= max(1, free - (0 if urgent else rate_limit.reserved)):
        return Send(_with_earlier_notices(next(iter(groups.values()))), GroupingReason.GROUPED)
    return Send(_with_earlier_notices(worst_first(company)), GroupingReason.DIGEST)


def _with_earlier_notices(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """As many as a message takes, and whatever was to be said earlier of the same alerts."""
    chosen = set(notices[:MAX_NOTICES])
    named = {notice.alert.fingerprint: notice.created_ms for notice in notices[:MAX_NOTICES]}
    earlier = (n for n in notices if n.created_ms < named.get(n.alert.fingerprint, 0))
    return worst_first([*chosen, *(notice for notice in earlier if notice not in chosen)])

"""Group the notices of one receiver into messages, within its rate limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from alerts.notify.message import MAX_NOTICES, worst_first
from alerts.state.notices import Notice


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Maximum number of messages to a receiver in a time window."""

    messages: int
    window_ms: int = 60_000

    @property
    def reserved(self) -> int:
        """Messages reserved for critical notices."""
        return max(1, self.messages // 5) if self.messages > 1 else 0


class GroupingReason(StrEnum):
    """Why notices are grouped or delayed. Also a metric label."""

    GROUPED = "grouped"
    """One message for one incident."""
    DIGEST = "digest"
    """One message for all, because the rate limit has no room for one each."""
    ALONE = "alone"
    """Sent alone after a group with it was refused."""
    RATE_LIMITED = "rate_limited"
    """The rate limit is reached."""
    RESERVED = "reserved"
    """The remaining messages are reserved for critical notices."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send these notices now, in one message."""

    notices: tuple[Notice, ...]
    reason: GroupingReason


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing before this time."""

    until_ms: int
    reason: GroupingReason


def next_message(
    notices: Sequence[Notice], attempts_ms: Sequence[int], rate_limit: RateLimit, now_ms: int
) -> Send | Wait | None:
    """Return the next action; None: there are no notices. `attempts_ms`: ascending times of attempts.

    Critical notices never wait for others, and are part of the next message. Notices of one alert stay in order: if a
    later one is sent, the earlier ones are in the same message.
    """
    if not notices:
        return None
    used = [at for at in attempts_ms if at > now_ms - rate_limit.window_ms]
    free = rate_limit.messages - len(used)
    urgent = any(notice.critical for notice in notices)
    if free <= 0:
        return Wait(used[len(used) - rate_limit.messages] + rate_limit.window_ms, GroupingReason.RATE_LIMITED)
    if not urgent and free <= rate_limit.reserved:
        # Wait until one more message than the reserved ones is available.
        return Wait(used[rate_limit.reserved - free] + rate_limit.window_ms, GroupingReason.RESERVED)
    sent_alone = {notice.alert.fingerprint for notice in notices if notice.alone}
    groupable = [notice for notice in notices if notice.alert.fingerprint not in sent_alone]
    if not groupable:
        return Send((min(notices, key=lambda notice: notice.created_ms),), GroupingReason.ALONE)
    groups: dict[str, list[Notice]] = {}
    for notice in worst_first(groupable):
        groups.setdefault(notice.alert.finding.incident or notice.alert.fingerprint, []).append(notice)
    if len(groups) <= max(1, free - (0 if urgent else rate_limit.reserved)):
        return Send(_with_earlier_notices(next(iter(groups.values()))), GroupingReason.GROUPED)
    return Send(_with_earlier_notices(worst_first(groupable)), GroupingReason.DIGEST)


def _with_earlier_notices(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """The notices up to the message's limit, with all earlier notices of the same alerts."""
    included = set(notices[:MAX_NOTICES])
    newest_ms_of = {notice.alert.fingerprint: notice.created_ms for notice in notices[:MAX_NOTICES]}
    earlier = (n for n in notices if n.created_ms < newest_ms_of.get(n.alert.fingerprint, 0))
    return worst_first([*included, *(notice for notice in earlier if notice not in included)])

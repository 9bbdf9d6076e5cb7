"""Whether a topic holds messages of the contract at all, judged by the first that were ever counted of it. Pure.

A topic of another team under one of our names would be copied into the dead-letter topic, message by message, without
end. The totals in Redis say how many messages were counted and refused: they move with the position, so neither a
restart nor a rebalance begins the trial again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from consumers.contract.rejection import RejectedMessage
from consumers.topics import Topic

CHECKED_MESSAGES = 1_000
"""Messages of a topic that it is judged by."""
_GOOD = ("events", "duplicates")
_REFUSED = "rejected"


class TopicVerdict(StrEnum):
    """What was found about a topic."""

    UNDECIDED = "undecided"
    """Fewer messages than the trial takes were counted."""
    ACCEPTED = "accepted"
    """At most half of the trial's messages were refused."""
    PAUSED = "stopped"
    """More than half of the trial's messages break the contract."""


@dataclass(frozen=True, slots=True)
class TopicTally:
    """What was counted of a topic ever."""

    messages: int
    reasons: Mapping[str, int]
    """Those of the messages that were refused, by reason."""

    @property
    def refused(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class ContractCheckResult:
    """A verdict, and where it is to stop, why."""

    verdict: TopicVerdict
    why: str = ""


def topic_tally(topic: Topic, totals: Mapping[str, int], applied: int | None = None) -> TopicTally:
    """A topic's part of the totals of all shards, by their names in Redis.

    `applied`: how many changes of promotions were taken, which no total counts; None where that is not known.
    """
    messages, reasons = applied or 0, Counter[str]()
    for name, count in totals.items():
        kind, of, about = [*name.split(",", 2), "", ""][:3]
        if of == topic and kind == _REFUSED:
            reasons[about] += count
            messages += count
        elif of == topic and kind in _GOOD:
            messages += count
    if topic is Topic.PROMOTIONS and applied is None and reasons:
        messages = max(messages, CHECKED_MESSAGES)  # counted by a version that did not say how many were good
    return TopicTally(messages, reasons)


def check_contract(counted: TopicTally, size: int, rejected: Sequence[RejectedMessage]) -> ContractCheckResult:
    """Whether a batch of `size` messages, `rejected` among them, is to be counted after what was counted before it.

    As soon as more than half of the whole trial is refused, no more can change the verdict.
    """
    left = CHECKED_MESSAGES - counted.messages
    if left <= 0:
        return ContractCheckResult(TopicVerdict.ACCEPTED)
    among = [refused for refused in rejected if refused.index < left]
    if counted.refused + len(among) <= CHECKED_MESSAGES // 2:
        return ContractCheckResult(TopicVerdict.UNDECIDED)
    return ContractCheckResult(TopicVerdict.PAUSED, _why(counted, counted.messages + min(left, size), among))


def contract_fix(topic: Topic) -> str:
    """What to do about a topic that is not read."""
    setting = f"topic_{topic.name.lower()}"
    return (
        f"if these are the shop's messages, correct their producer, or start every worker with `--accept {topic}` "
        f"(setting `accept`), which counts them all the same; if the topic is another team's, name yours with "
        f"`{setting}` or `topic_prefix`"
    )


def _why(counted: TopicTally, seen: int, among: Sequence[RejectedMessage]) -> str:
    """How many were refused and for what, with an example of what is most common in the batch."""
    batch = Counter(refused.reason.value for refused in among)
    reasons = (Counter(counted.reasons) + batch).most_common()
    shown = batch.most_common(1)[0][0] if batch else ""
    example = next((refused.detail for refused in among if refused.reason == shown), "")
    listed = ", ".join(
        f"{count} {reason}" + (f" (such as: {example})" if reason == shown and example else "")
        for reason, count in reasons
    )
    return f"{counted.refused + len(among)} of its first {seen} messages break the contract: {listed}"

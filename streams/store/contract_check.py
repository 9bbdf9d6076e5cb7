"""Whether a topic's messages follow the contract, decided by the first ones counted. Pure.

Another team's topic under one of our names would be copied to the dead-letter topic endlessly. The decision uses the
totals in Redis, which move with the position, so that restarts and rebalances do not start the check over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from consumers.contract.rejection import RejectedMessage
from consumers.topics import InputTopic, Topic

_SCHEMAS_MISSING = "schemas of its messages cannot be loaded"
CHECKED_MESSAGES = 1_000
"""Number of messages that are checked per topic."""
_GOOD = ("events", "duplicates")
_GOOD_IN_SOURCES = ("mapped", "passed_over")
"""Totals of messages by their own topic, where its events are counted by those of the contract."""
_REFUSED = "rejected"


class TopicVerdict(StrEnum):
    """Result of a topic's check."""

    UNDECIDED = "undecided"
    """Too few messages were counted yet."""
    ACCEPTED = "accepted"
    """At most half of the checked messages were rejected."""
    PAUSED = "stopped"
    """More than half of the checked messages break the contract."""


@dataclass(frozen=True, slots=True)
class TopicTally:
    """Counts of a topic since its first message."""

    messages: int
    reasons: Mapping[str, int]
    """# <rejection reason: messages>"""

    @property
    def rejected(self) -> int:
        """Number of rejected messages."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class ContractCheckResult:
    """The verdict, and the reason if the topic is paused."""

    verdict: TopicVerdict
    why: str = ""


def topic_tally(
    topic: InputTopic, totals: Mapping[str, int], applied: int | None = None, *, has_source: bool = False
) -> TopicTally:
    """A topic's share of the totals of all shards, by their names in Redis.

    `applied`: number of applied promotion changes, which no total counts; None if unknown. `has_source`: whether its
    messages are mapped.
    """
    messages, reasons = applied or 0, Counter[str]()
    for name, count in totals.items():
        kind, counted_topic, reason = [*name.split(",", 2), "", ""][:3]
        if counted_topic == topic and kind == _REFUSED:
            reasons[reason] += count
            messages += count
        elif counted_topic == topic and kind in (_GOOD_IN_SOURCES if has_source else _GOOD):
            messages += count
    if topic is Topic.PROMOTIONS and applied is None and reasons:
        messages = max(messages, CHECKED_MESSAGES)  # earlier versions did not store the number of valid messages
    return TopicTally(messages, reasons)


def check_contract(counted: TopicTally, size: int, rejected: Sequence[RejectedMessage]) -> ContractCheckResult:
    """Whether to count a batch of `size` messages, given all earlier counts; `rejected` are its rejected messages.

    The verdict is final once more than half of all checked messages are rejected.
    """
    unchecked = CHECKED_MESSAGES - counted.messages
    if unchecked <= 0:
        return ContractCheckResult(TopicVerdict.ACCEPTED)
    checked = [message for message in rejected if message.index < unchecked]
    if counted.rejected + len(checked) <= CHECKED_MESSAGES // 2:
        return ContractCheckResult(TopicVerdict.UNDECIDED)
    return ContractCheckResult(TopicVerdict.PAUSED, _why(counted, counted.messages + min(unchecked, size), checked))


def registry_problem(detail: str) -> str:
    """The reason of a pause because of the schema registry; `pause_fix` recognizes it."""
    return f"{_SCHEMAS_MISSING}: {detail}"


def pause_fix(topic: InputTopic, why: str) -> str:
    """How to fix a topic that is paused for this reason."""
    return "workers read it again once the schema registry answers" if _SCHEMAS_MISSING in why else contract_fix(topic)


def contract_fix(topic: InputTopic) -> str:
    """How to fix a topic whose messages break the contract."""
    if not isinstance(topic, Topic):
        return (
            f"correct the source of {topic} in the file of the setting `sources` (`salepulse sources try` shows why "
            f"messages are refused), or start every worker with `--accept {topic}`, which counts the valid ones"
        )
    setting = f"topic_{topic.name.lower()}"
    return (
        f"if these are the shop's messages, correct their producer, or start every worker with `--accept {topic}` "
        "(setting `accept`), which counts the valid ones; if the topic is another team's, name yours with "
        f"`{setting}` or `topic_prefix`"
    )


def missing_topic_fix(topic: InputTopic) -> str:
    """How to fix a topic that the broker does not have."""
    if isinstance(topic, Topic):
        return "create it with `salepulse topics create`"
    return "its producer must create it, or its name in the file of sources is wrong"


def _why(counted: TopicTally, checked_messages: int, rejected: Sequence[RejectedMessage]) -> str:
    """The number of rejected messages by reason, with an example of the most frequent reason in the batch."""
    batch = Counter(message.reason.value for message in rejected)
    reasons = (Counter(counted.reasons) + batch).most_common()
    most_frequent = batch.most_common(1)[0][0] if batch else ""
    example = next((message.detail for message in rejected if message.reason == most_frequent), "")
    listed = ", ".join(
        f"{count} {reason}" + (f" (such as: {example})" if reason == most_frequent and example else "")
        for reason, count in reasons
    )
    return f"{counted.rejected + len(rejected)} of its first {checked_messages} messages break the contract: {listed}"

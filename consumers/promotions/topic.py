"""The topic `promotions`: what is in force, and changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.contract.decoding import decode_promotion
from consumers.contract.events import Promotion
from consumers.contract.rejection import RejectedMessage
from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.kafka.read_to_end import read_to_end
from consumers.promotions.changes import FieldChange, PromotionOutcome, field_changes
from consumers.promotions.definition import encode_promotion
from consumers.topics import Topic


@dataclass(frozen=True, slots=True)
class PromotionTopicState:
    """What the topic says."""

    promotions: Mapping[str, Promotion] = field(default_factory=dict)
    """By id: the last definition by offset, without those deleted since."""
    rejected: int = 0
    """Messages that break the contract: the workers put them on `dead-letters`, and they change nothing."""


@dataclass(frozen=True, slots=True)
class PromotionReport:
    """What becomes of one promotion."""

    promotion_id: str
    outcome: PromotionOutcome
    changes: Sequence[FieldChange] = ()
    definition: Promotion | None = None
    """What is in force after it; None where it is deleted or absent."""


async def read_promotion_topic(kafka: KafkaTarget) -> PromotionTopicState:
    """Everything on the topic, added up. Raises SalepulseError without a broker or the topic."""
    promotions: dict[str, Promotion] = {}
    rejected = 0
    async for record in read_to_end(kafka, Topic.PROMOTIONS):
        change = decode_promotion(record.key, record.value)
        if isinstance(change, RejectedMessage):
            rejected += 1
        elif change.promotion is None:
            promotions.pop(change.promotion_id, None)
        else:
            promotions[change.promotion_id] = change.promotion
    return PromotionTopicState(promotions, rejected)


def plan_promotions(
    in_force: Mapping[str, Promotion], wanted: Sequence[Promotion], deleted: Sequence[str]
) -> list[PromotionReport]:
    """What has to become of each promotion that is named; the others stay as they are. Pure."""
    reports = []
    for promotion in wanted:
        name, before = promotion.promotion_id, in_force.get(promotion.promotion_id)
        if before is None:
            reports.append(PromotionReport(name, PromotionOutcome.ADDED, definition=promotion))
            continue
        changes = field_changes(before, promotion)
        outcome = PromotionOutcome.CHANGED if changes else PromotionOutcome.UNCHANGED
        reports.append(PromotionReport(name, outcome, changes, promotion if changes else before))
    for name in dict.fromkeys(deleted):
        reports.append(PromotionReport(name, PromotionOutcome.DELETED if name in in_force else PromotionOutcome.ABSENT))
    return reports


async def write_promotions(kafka: KafkaTarget, reports: Sequence[PromotionReport]) -> int:
    """Write what is different; returns how many messages that were, once the broker has confirmed them."""
    messages = [
        OutgoingMessage(
            Topic.PROMOTIONS,
            one.promotion_id.encode(),
            None if one.definition is None else encode_promotion(one.definition),
        )
        for one in reports
        if one.outcome in (PromotionOutcome.ADDED, PromotionOutcome.CHANGED, PromotionOutcome.DELETED)
    ]
    if messages:
        await send_all(kafka, messages)
    return len(messages)

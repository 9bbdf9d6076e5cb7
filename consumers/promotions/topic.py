"""Reads and updates the definitions on the topic `promotions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.contract.decoding import decode_promotion
from consumers.contract.events import Promotion
from consumers.contract.rejection import RejectedMessage
from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.kafka.standalone import read_to_end
from consumers.promotions.changes import FieldChange, PromotionOutcome, field_changes
from consumers.promotions.file import encode_promotion
from consumers.topics import Topic


@dataclass(frozen=True, slots=True)
class PromotionTopicState:
    """The state of the topic."""

    promotions: Mapping[str, Promotion] = field(default_factory=dict)
    """The latest definition by id, without deleted ones."""
    rejected: int = 0
    """Messages that break the contract and are ignored; workers send them to `dead-letters`."""


@dataclass(frozen=True, slots=True)
class PromotionReport:
    """The result for one promotion."""

    promotion_id: str
    outcome: PromotionOutcome
    changes: Sequence[FieldChange] = ()
    definition: Promotion | None = None
    """The definition that applies afterwards; None if deleted or absent."""


async def read_promotion_topic(kafka: KafkaTarget) -> PromotionTopicState:
    """Read the state of the topic. Raises SalepulseError without a broker or the topic."""
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
    """The result for each named promotion; others stay unchanged. Pure."""
    reports = []
    for promotion in wanted:
        promotion_id, before = promotion.promotion_id, in_force.get(promotion.promotion_id)
        if before is None:
            reports.append(PromotionReport(promotion_id, PromotionOutcome.ADDED, definition=promotion))
            continue
        changes = field_changes(before, promotion)
        outcome = PromotionOutcome.CHANGED if changes else PromotionOutcome.UNCHANGED
        reports.append(PromotionReport(promotion_id, outcome, changes, promotion if changes else before))
    for promotion_id in dict.fromkeys(deleted):
        reports.append(
            PromotionReport(
                promotion_id, PromotionOutcome.DELETED if promotion_id in in_force else PromotionOutcome.ABSENT
            )
        )
    return reports


async def write_promotions(kafka: KafkaTarget, reports: Sequence[PromotionReport]) -> int:
    """Write the changed definitions; returns the number of messages when the broker has acknowledged them."""
    messages = [
        OutgoingMessage(
            Topic.PROMOTIONS,
            report.promotion_id.encode(),
            None if report.definition is None else encode_promotion(report.definition),
        )
        for report in reports
        if report.outcome in (PromotionOutcome.ADDED, PromotionOutcome.CHANGED, PromotionOutcome.DELETED)
    ]
    if messages:
        await send_all(kafka, messages)
    return len(messages)

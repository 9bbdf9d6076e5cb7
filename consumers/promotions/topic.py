"""The topic `promotions`: what is in force, and changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.contract.decoding import decode_promotion
from consumers.contract.events import Promotion
from consumers.contract.rejection import Rejected
from consumers.kafka.connection import Where
from consumers.kafka.producer import Outgoing, send_all
from consumers.kafka.read_to_end import read_to_end
from consumers.promotions.changes import FieldChange, Outcome, field_changes
from consumers.promotions.definition import encoded
from consumers.topics import Topic


@dataclass(frozen=True, slots=True)
class InForce:
    """What the topic says."""

    promotions: Mapping[str, Promotion] = field(default_factory=dict)
    """By id: the last definition by offset, without those deleted since."""
    refused: int = 0
    """Messages that break the contract: the workers put them on `dead-letters`, and they change nothing."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What becomes of one promotion."""

    promotion_id: str
    outcome: Outcome
    changes: Sequence[FieldChange] = ()
    definition: Promotion | None = None
    """What is in force after it; None where it is deleted or absent."""


async def read_in_force(kafka: Where) -> InForce:
    """Everything on the topic, added up. Raises SalepulseError without a broker or the topic."""
    promotions: dict[str, Promotion] = {}
    refused = 0
    async for record in read_to_end(kafka, Topic.PROMOTIONS):
        change = decode_promotion(record.key, record.value)
        if isinstance(change, Rejected):
            refused += 1
        elif change.promotion is None:
            promotions.pop(change.promotion_id, None)
        else:
            promotions[change.promotion_id] = change.promotion
    return InForce(promotions, refused)


def plan(in_force: Mapping[str, Promotion], wanted: Sequence[Promotion], deleted: Sequence[str]) -> list[Applied]:
    """What has to become of each promotion that is named; the others stay as they are. Pure."""
    applied = []
    for promotion in wanted:
        name, before = promotion.promotion_id, in_force.get(promotion.promotion_id)
        if before is None:
            applied.append(Applied(name, Outcome.ADDED, definition=promotion))
            continue
        changes = field_changes(before, promotion)
        outcome = Outcome.CHANGED if changes else Outcome.UNCHANGED
        applied.append(Applied(name, outcome, changes, promotion if changes else before))
    for name in dict.fromkeys(deleted):
        applied.append(Applied(name, Outcome.DELETED if name in in_force else Outcome.ABSENT))
    return applied


async def write(kafka: Where, applied: Sequence[Applied]) -> int:
    """Write what is different; returns how many messages that were, once the broker has confirmed them."""
    messages = [
        Outgoing(
            Topic.PROMOTIONS, one.promotion_id.encode(), None if one.definition is None else encoded(one.definition)
        )
        for one in applied
        if one.outcome in (Outcome.ADDED, Outcome.CHANGED, Outcome.DELETED)
    ]
    if messages:
        await send_all(kafka, messages)
    return len(messages)

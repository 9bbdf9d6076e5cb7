"""What is different around the start of a promotion or phase."""

from __future__ import annotations

import pytest

from alerts.detection.inputs import DetectionInputs, empty_panes
from alerts.detection.openings import opening_effects
from alerts.rules.detect import SequentialDetector
from alerts.rules.loader import default_text, load
from alerts.statistics.steps import OpeningEffects
from consumers.contract.events import Phase, Promotion

OPENS_S = 1_762_776_000
SALE = Promotion(
    promotion_id="d11",
    name="Sale",
    starts_at=(OPENS_S - 86_400) * 1000,
    ends_at=(OPENS_S + 86_400) * 1000,
    timezone="Asia/Shanghai",
    phases=(Phase(name="opening", starts_at=OPENS_S * 1000, ends_at=(OPENS_S + 86_400) * 1000),),
)
RULES = {rule.name: rule.detect for rule in load(default_text(), "default").rules.rules}


def effects(rule: str, minutes: float) -> OpeningEffects:
    """The effects so long after the opening."""
    detect = RULES[rule]
    assert isinstance(detect, SequentialDetector)
    now_s = OPENS_S + round(60 * minutes)
    return opening_effects(DetectionInputs(1000 * now_s, empty_panes(now_s), promotions={"d11": SALE}), detect)


@pytest.mark.parametrize(
    ("rule", "minutes", "expected"),
    [
        ("cart-drop", -90, OpeningEffects()),
        ("cart-drop", -30, OpeningEffects(may_alarm=False, is_around=True)),
        ("order-drop", -30, OpeningEffects()),
        ("payment-failures", -30, OpeningEffects()),
        ("cart-drop", 30, OpeningEffects(is_around=True, is_after=True)),
        ("order-drop", 2, OpeningEffects(is_after=True)),
        ("order-drop", 30, OpeningEffects(is_after=True, needs_loss=False)),
        ("order-drop", 80, OpeningEffects(is_after=True)),
        ("order-drop", 100, OpeningEffects()),
    ],
)
def test_effects_of_an_opening(rule: str, minutes: float, expected: OpeningEffects) -> None:
    assert effects(rule, minutes) == expected


def test_without_promotions_nothing_is_different() -> None:
    detect = RULES["cart-drop"]
    assert isinstance(detect, SequentialDetector)
    assert opening_effects(DetectionInputs(1000 * OPENS_S, empty_panes(OPENS_S)), detect) == OpeningEffects()

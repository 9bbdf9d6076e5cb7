"""Differences between two definitions, by field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.events import Phase, Promotion, Targets
from consumers.promotions.changes import PromotionOutcome, field_changes
from consumers.promotions.topic import plan_promotions

HOUR = 3_600_000
T0 = 1_794_326_400_000


def promotion(promotion_id: str = "d11", **changes: object) -> Promotion:
    basic = {
        "promotion_id": promotion_id,
        "name": "D",
        "timezone": "Asia/Shanghai",
        "starts_at": T0,
        "ends_at": T0 + 24 * HOUR,
    }
    return Promotion.model_validate({**basic, **changes})


def phase(name: str, begins_h: int, ends_h: int) -> Phase:
    return Phase(name=name, starts_at=T0 + begins_h * HOUR, ends_at=T0 + ends_h * HOUR)


def change_texts(before: Promotion, after: Promotion) -> list[str]:
    return [change.text(after.timezone) for change in field_changes(before, after)]


def test_equal_definitions_have_no_changes() -> None:
    assert change_texts(promotion(skus=("a", "b")), promotion(skus=("b", "a"))) == []


def test_times_are_shown_in_the_promotions_time_zone() -> None:
    assert change_texts(promotion(), promotion(name="E", ends_at=T0 + 25 * HOUR)) == [
        "name D → E",
        "ends_at 2026-11-12 00:00 → 2026-11-12 01:00",
    ]


def test_targets_are_compared_tier_by_tier() -> None:
    with_targets = promotion(targets=Targets(base=1_000, sprint=2_000, challenge=3_000))
    more = promotion(targets=Targets(base=1_000, sprint=2_500, challenge=3_000))
    assert change_texts(with_targets, more) == ["targets.sprint 2,000 → 2,500"]
    assert change_texts(with_targets, promotion())[0] == "targets.base 1,000 → none"


def test_phases_are_compared_by_name() -> None:
    before = promotion(phases=(phase("opening", 0, 2), phase("burst", 2, 20)))
    after = promotion(phases=(phase("opening", 0, 3), phase("encore", 20, 24)))
    assert change_texts(before, after) == [
        "phases.opening.ends_at 2026-11-11 02:00 → 2026-11-11 03:00",
        "phases.burst.name burst → none",
        "phases.burst.starts_at 2026-11-11 02:00 → none",
        "phases.burst.ends_at 2026-11-11 20:00 → none",
        "phases.encore.name none → encore",
        "phases.encore.starts_at none → 2026-11-11 20:00",
        "phases.encore.ends_at none → 2026-11-12 00:00",
    ]


def test_phases_with_equal_names_are_compared_by_position() -> None:
    before = promotion(phases=(phase("flash", 0, 1), phase("flash", 4, 5)))
    after = promotion(phases=(phase("flash", 0, 1), phase("flash", 4, 6)))
    assert change_texts(before, after) == ["phases.1.ends_at 2026-11-11 05:00 → 2026-11-11 06:00"]


def test_sku_changes_list_added_and_removed_skus() -> None:
    (change,) = field_changes(promotion(skus=("a", "b")), promotion(skus=("b", "c", "d", "e", "f")))
    assert (change.field, change.before, change.after, change.note) == ("skus", 2, 5, "+c, +d, +e, +1 more, −a")


def test_plan_reports_one_outcome_per_promotion() -> None:
    in_force = {name: promotion(name) for name in ("same", "other", "gone")}
    applied = plan_promotions(
        in_force, [promotion("same"), promotion("other", baseline="x"), promotion("new")], ["gone", "never"]
    )
    assert {one.promotion_id: one.outcome for one in applied} == {
        "same": PromotionOutcome.UNCHANGED,
        "other": PromotionOutcome.CHANGED,
        "new": PromotionOutcome.ADDED,
        "gone": PromotionOutcome.DELETED,
        "never": PromotionOutcome.ABSENT,
    }


_promotions = st.builds(
    promotion,
    baseline=st.sampled_from([None, "x"]),
    ends_at=st.sampled_from([T0 + 24 * HOUR, T0 + 25 * HOUR]),
    phases=st.none()
    | st.lists(st.sampled_from([phase("a", 0, 1), phase("a", 1, 2), phase("b", 2, 3)]), max_size=3).map(tuple),
    targets=st.none() | st.builds(Targets, base=st.integers(0, 2), sprint=st.integers(2, 4), challenge=st.just(9)),
    skus=st.none() | st.lists(st.sampled_from("abc"), unique=True).map(tuple),
)


@given(_promotions, _promotions)
def test_changes_are_symmetric_and_empty_for_equal_definitions(one: Promotion, other: Promotion) -> None:
    there, back = field_changes(one, other), field_changes(other, one)
    assert {change.field for change in there} == {change.field for change in back}
    assert field_changes(one, one) == []

"""Which series each finding explains."""

from __future__ import annotations

from dataclasses import replace

from alerts.correlation.explained import with_explained
from alerts.findings import MAX_EXPLAINED, Contributor, ExplainedSeries, FindingReason, Series
from tests.alerts.builders import finding


def test_a_root_names_what_it_inhibits_directly_and_in_a_chain() -> None:
    root = finding("order-drop", labels={})
    part = finding("order-drop", FindingReason.PARENT, inhibited_by=root.series, title="Fewer orders")
    later = finding("payment-drop", FindingReason.SAME_INCIDENT, inhibited_by=part.series, title="Fewer paid")
    apart = finding("cart-drop")
    first, *others = with_explained([root, part, later, apart])
    assert first.explains == (ExplainedSeries(part.series, "Fewer orders"), ExplainedSeries(later.series, "Fewer paid"))
    assert others == [part, later, apart]


def test_a_root_names_a_limited_number() -> None:
    root = finding(labels={})
    parts = [
        finding(reason=FindingReason.PARENT, labels={"sku": str(number)}, inhibited_by=root.series)
        for number in range(50)
    ]
    assert len(with_explained([root, *parts])[0].explains) == MAX_EXPLAINED


def test_a_part_that_explains_its_whole_has_the_contributors_of_the_whole() -> None:
    causes = (Contributor((("channel", "app"),), 0.9, 0.0, 0.01, 0.04),)
    part = finding()
    whole = replace(finding(reason=FindingReason.CHILD, labels={}, inhibited_by=part.series), contributors=causes)
    assert with_explained([part, whole])[0].contributors == causes


def test_a_root_without_a_finding_changes_nothing() -> None:
    gone = Series("order-drop")
    parts = [finding(reason=FindingReason.SAME_INCIDENT, inhibited_by=gone)]
    assert with_explained(parts) == parts

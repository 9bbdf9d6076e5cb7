"""The words for segments, events, stages of the funnel, and the numbers of rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerts.findings import Category, Finding, Labels, Measure

WHOLE_SHOP = "whole shop"

_DIMENSIONS = {"sku": "SKU", "source": "producer"}
_EVENTS = {
    "page_views": "page views",
    "product_views": "product views",
    "cart_adds": "products put into carts",
    "checkouts": "checkouts",
    "orders_created": "orders",
    "orders_paid": "paid orders",
    "payments_failed": "failed payments",
    "orders_refunded": "refunds",
    "orders_cancelled": "cancellations",
    "dispatched": "dispatched parcels",
}
_EVENTS_TOGETHER = {
    frozenset({"payments_failed", "orders_paid"}): "payments",
    frozenset({"page_views", "product_views"}): "clicks",
}
_MAX_EVENTS_NAMED = 2
_STAGES = {
    "page_views": "visit",
    "product_views": "product view",
    "cart_adds": "cart",
    "checkouts": "checkout",
    "orders_created": "order",
    "orders_paid": "payment",
    "payments_failed": "payment",
    "orders_refunded": "refund",
    "orders_cancelled": "cancellation",
    "dispatched": "dispatch",
}
_STAGES_TOGETHER = {
    frozenset({"page_views", "product_views"}): "visit",
    frozenset({"payments_failed", "orders_paid"}): "payment",
}
_VALUES = {
    "partition_stale": "partitions without a worker: {}",
    "partition_lag": "waiting records: {}",
    "partition_lag_seconds": "{} behind",
    "as_of_age_seconds": "numbers are {} old",
    "dead_letter_rate": "{} of the messages rejected",
    "duplicate_rate": "{} of the events repeated",
    "incomplete_history": "partitions that lost records: {}",
    "source_share": "{} of its topic's events",
    "source_late_seconds": "events come {} late",
    "source_clock_ahead_seconds": "{} ahead of the clock",
    "worker_clock_offset_seconds": "{} off the clock",
    "stock_available": "units available: {}",
    "oversold_units": "units oversold: {}",
    "minutes_to_stockout": "{} until it is sold out",
    "ship_within_48h_rate": "{} of the orders due were dispatched in time",
    "dispatched_of_usual": "{} of the dispatches usual at this time",
    "usual_dispatches": "usual dispatches: {}",
    "expected_breach_rate": "{} of the orders due within 24 h will be late",
    "expected_breaches": "orders that will be late: {}",
    "repeat_payments": "orders paid again: {}",
    "target_probability.base": "the target base is reached with a probability of {}",
    "target_probability.sprint": "the target sprint is reached with a probability of {}",
    "target_probability.challenge": "the target challenge is reached with a probability of {}",
    "cpc": "a click costs {}",
    "roas": "{} of the cost comes back as GMV",
}
_FLAGS = frozenset({"store_down", "store_refuses_writes", "dedup_horizon_short"})
"""Numbers that are 1 or 0: the rule's title has all of it."""


def describe_labels(labels: Labels) -> str:
    """Format as `channel app, region east`; empty for the whole shop.

    >>> describe_labels((("sku", "TEE-1"),))
    'SKU TEE-1'
    """
    return ", ".join(f"{_DIMENSIONS.get(name, name)} {value}" for name, value in labels)


def describe_segment(finding: Finding) -> str:
    """The part of the shop; empty for a finding about salepulse without labels."""
    whole = WHOLE_SHOP if finding.category is Category.BUSINESS else ""
    return describe_labels(finding.series.labels) or whole


def describe_events(names: Sequence[str]) -> str:
    """What counters count, in the plural.

    >>> describe_events(["orders_created"]), describe_events(["payments_failed", "orders_paid"])
    ('orders', 'payments')
    """
    together = _EVENTS_TOGETHER.get(frozenset(names))
    if together is not None:
        return together
    return " and ".join(_word(_EVENTS, name) for name in names) if len(names) <= _MAX_EVENTS_NAMED else "events"


def describe_stage(measure: Measure | None) -> str:
    """The stage of the funnel, such as `checkout to order`; empty for a number that is no stage."""
    if measure is None or measure.window or not set(measure.count) <= _STAGES.keys():
        return ""
    to = _stage(measure.count)
    at = _stage([name for name in measure.per if name not in measure.count])
    return f"{at} to {to}" if at and to and at != to else to


def describe_value(measure: Measure | None, text: str) -> str:
    """A number of a rule in words, such as `units available: 12`; empty if the rule's title has all of it."""
    if measure is None or not measure.count:
        return text
    name = measure.count[0]
    if name in _FLAGS:
        return ""
    return _VALUES[name].format(text) if name in _VALUES else f"{name.replace('_', ' ').replace('.', ' ')}: {text}"


def _stage(names: Sequence[str]) -> str:
    together = _STAGES_TOGETHER.get(frozenset(names))
    return together or (_word(_STAGES, names[0]) if len(names) == 1 else "")


def _word(words: Mapping[str, str], name: str) -> str:
    return words.get(name, name.replace("_", " "))

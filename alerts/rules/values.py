"""The numbers that threshold and change rules may use, and the topics that they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from consumers.contract.events import TOPIC_BY_EVENT_TYPE
from consumers.topics import EVENT_TOPICS, Topic
from streams.dictionary.names import ALL, PROMOTION
from streams.model.kpis import KPIS, NAMES, SHIPPING_KPIS, SHIPPING_SCOPES, UNITS
from streams.panes.counters import COUNTERS, DISTINCTS, TYPE_COUNTERS, Unit
from streams.panes.scopes import SCOPES, Dimension, ShipmentDimension

STOCK = (
    "stock_available",
    "sell_through",
    "minutes_to_stockout",
    "oversold_units",
    "stockout_skus",
    "stock_fill_rate",
)
MIN_DUE_ORDERS = 100
"""Minimum number of due orders for a share: with fewer, a share of 10 % has an error of 3 points or more."""
NON_KPI_VALUES = {
    "target_probability.base": "probability that the running promotion reaches its target `base` (0 to 1)",
    "target_probability.sprint": "the same for `sprint`",
    "target_probability.challenge": "the same for `challenge`",
    "orders_due": "orders that fell due in the window and are not cancelled: the denominator of `ship_within_48h_rate`",
    "expected_breaches": "unshipped orders expected to become overdue within the next 12 hours",
    "expected_breach_rate": "of the paid orders that fall due within 24 hours, the share that is unshipped and "
    f"expected to become overdue; unknown with fewer than {MIN_DUE_ORDERS}",
    "dispatched_of_usual": "orders dispatched in the window, as a share of those usual at this time",
    "usual_dispatches": "orders usually dispatched in such a window at this time; unknown with too little history",
    "undispatched_gmv": "`usual_dispatches` less the dispatched orders, at the average order value, in minor units",
}
"""Numbers that are not KPIs: forecasts, and numbers that KPIs depend on; by name."""
DISPATCH_VALUES = ("dispatched_of_usual", "usual_dispatches", "undispatched_gmv")
"""The numbers of scope `warehouse`, see `alerts.viewing.dispatch`."""
_KNOWN_FOR: Mapping[str, Sequence[Dimension]] = {
    **dict.fromkeys((name for name in NON_KPI_VALUES if name.startswith("target_probability")), (PROMOTION,)),
    "orders_due": SHIPPING_SCOPES,
    "expected_breaches": (ALL,),
    "expected_breach_rate": (ALL,),
    **dict.fromkeys(DISPATCH_VALUES, (ALL, ShipmentDimension.WAREHOUSE)),
}
"""The scopes of those numbers."""
VALUES = tuple(dict.fromkeys((*NAMES, *STOCK, *(kpi.name for kpi in SHIPPING_KPIS), *NON_KPI_VALUES)))


def check_value(name: str) -> str:
    """Return the name; raise ValueError with the known names if it is unknown."""
    if name not in VALUES:
        close = get_close_matches(name, VALUES, 1)
        raise ValueError(f"there is no {name!r}: " + (f"do you mean {close[0]!r}?" if close else "see definitions"))
    return name


def check_scopes(name: str, scopes: Iterable[str]) -> None:
    """Raise ValueError if the number does not exist in one of the scopes, where the rule could never fire."""
    known: Sequence[Dimension] = _KNOWN_FOR.get(name, SCOPES)
    unknown = [str(scope) for scope in scopes if scope not in known]
    if unknown:
        where = f"`{name}` exists in scope {', '.join(known)} only"
        raise ValueError(f"{where}: remove {', '.join(unknown)} from `for_each`, or use another number")


def unit_of(name: str) -> Unit:
    """Return the unit of a number."""
    if name in UNITS:
        return UNITS[name]
    if name == "undispatched_gmv":
        return Unit.MONEY
    shares = ("sell_through", "dispatched_of_usual")
    is_share = name.startswith("target_probability") or name.endswith("_rate") or name in shares
    return Unit.RATIO if is_share else Unit.COUNT


_BY_TYPE = {COUNTERS[place].name: TOPIC_BY_EVENT_TYPE[name] for name, place in TYPE_COUNTERS.items()}
_OTHERS = {
    **dict.fromkeys(("ad_cost", "dwell_ms", "dwell_events", "visitors", "sessions"), Topic.CLICKS),
    "returned_units": Topic.LOGISTICS,
}
_COUNTED: Mapping[str, Topic] = {
    name: _BY_TYPE.get(name) or _OTHERS.get(name, Topic.ORDERS)
    for name in [*(counter.name for counter in COUNTERS), *(distinct.name for distinct in DISTINCTS)]
}


@cache
def counters_of(name: str) -> tuple[str, ...]:
    """Return the counters and distinct counts of a counter or KPI; none if it depends on more than panes."""
    if name in _COUNTED:
        return (name,)
    return next((kpi.inputs for kpi in KPIS if kpi.name == name), ())


@cache
def topics_of(name: str) -> frozenset[Topic]:
    """Return the topics of a counter or KPI; all event topics if it depends on more than panes (stock, shipping)."""
    topics = frozenset(_COUNTED[counter] for counter in counters_of(name) if counter in _COUNTED)
    return topics or frozenset(EVENT_TOPICS)

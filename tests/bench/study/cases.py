"""The groups of incidents that the study plays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from alerts.findings import Labels
from tests.bench.study.truth import WHOLE, IncidentSpec

RATES = (200.0, 1000.0, 5000.0)
"""Orders a minute."""
SIZES = (0.1, 0.2, 0.4, 0.8)
PARTS: Sequence[Labels] = (
    WHOLE,
    (("channel", "app"),),
    (("channel", "web"),),
    (("region", "east"),),
    (("region", "west"),),
    (("category", "phones"),),
    (("category", "sports"),),
)
_APP, _MINI, _WEB = ((("channel", name),) for name in ("app", "mini", "web"))
_OMS_1, _OMS_2 = ((("source", f"orders/oms-{number}"),) for number in (1, 2))
_WEST: Labels = (("region", "west"),)
_PHONES: Labels = (("sku", "phones-0"),)
_WMS_WEST: Labels = (("source", "logistics/wms-west"),)
_LATER_S = 1200.0
"""The second of two incidents begins five minutes after the first."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale with incidents."""

    specs: tuple[IncidentSpec, ...]
    rates: tuple[float, ...] = RATES
    shape: str = "plain"
    hours: float = 0.75
    many: int = 1
    """Sales for each seed that is asked for."""


def _drops() -> Iterator[Sale]:
    for size in SIZES:
        for labels in PARTS:
            yield Sale((IncidentSpec("drop_orders", size=size, labels=labels),), many=2)


def _others() -> Iterator[Sale]:
    yield Sale((IncidentSpec("drop_checkouts", size=0.3),))
    yield Sale((IncidentSpec("drop_carts", size=0.3),))
    yield Sale((IncidentSpec("payment_failures", size=0.3),))
    yield Sale((IncidentSpec("payment_failures", size=0.5, labels=_WEST),))
    yield Sale((IncidentSpec("order_stop", lasts_s=300),))
    yield Sale((IncidentSpec("outage", lasts_s=300),))
    yield Sale((IncidentSpec("stock_out", lasts_s=1500, labels=_PHONES),))
    yield Sale((IncidentSpec("dispatch_stop", lasts_s=1200, labels=_WMS_WEST),))


def _faults() -> Iterator[Sale]:
    """A fault of the data that continues, alone and before a fall or a stop of orders."""
    duplicates = IncidentSpec("duplicates", size=0.3, lasts_s=1500)
    for fault in (duplicates, IncidentSpec("dead_letters", size=0.02, lasts_s=1500)):
        for second in (
            (),
            (IncidentSpec("drop_orders", _LATER_S, size=0.8),),
            (IncidentSpec("order_stop", _LATER_S, 300),),
        ):
            yield Sale((fault, *second), (200.0,), many=2)


def _partial() -> Iterator[Sale]:
    """A part of one producer's events is lost; nothing else is."""
    for spec in (
        IncidentSpec("tracking_loss", size=0.5, labels=_APP),
        IncidentSpec("tracking_loss", size=1.0, labels=_MINI),
        IncidentSpec("checkouts_untracked", labels=_APP),
        IncidentSpec("producer_loses", size=0.5, labels=_OMS_2),
        IncidentSpec("one_of_two_loses", size=0.5, labels=_OMS_1),
        IncidentSpec("producer_loses", labels=_OMS_2),
    ):
        yield Sale((spec,), hours=1.25)


def _late() -> Iterator[Sale]:
    for spec in (
        IncidentSpec("late_orders", labels=_OMS_1),
        IncidentSpec("late_orders"),
        IncidentSpec("slow_payments", lasts_s=1200),
    ):
        yield Sale((spec,), hours=1.0)


def _rare() -> Iterator[Sale]:
    """Payment failures rise from 8 % to 55 % at 45 attempts a minute."""
    yield Sale((IncidentSpec("payment_failures", size=0.51),), (45.0,), many=3)


def _drift() -> Iterator[Sale]:
    """A fall while conversion drifts by ±10 % in three hours."""
    yield Sale((IncidentSpec("drop_orders", size=0.2),), (1000.0,), shape="drift_10", many=5)


def _ends() -> Iterator[Sale]:
    """Falls that last 10 to 15 min: are they open to the end, and closed soon after?"""
    for shape in ("plain", "drift_10"):
        for size, lasts_s in ((0.1, 900.0), (0.2, 600.0), (0.2, 900.0)):
            spec = IncidentSpec("drop_orders", lasts_s=lasts_s, size=size)
            yield Sale((spec,), (1000.0,), shape, hours=1.0, many=3 if shape == "plain" else 2)
    sports = IncidentSpec("drop_orders", lasts_s=900, size=0.4, labels=(("category", "sports"),))
    yield Sale((sports,), (1000.0,), hours=1.0, many=3)


def _two() -> Iterator[Sale]:
    """Each of these before each other: all ordered pairs but one, whose first explains the second."""
    west = IncidentSpec("payment_failures", size=0.6, labels=_WEST)
    whole = IncidentSpec("payment_failures", size=0.9)
    some = (
        west,
        whole,
        IncidentSpec("drop_carts", labels=_MINI),
        IncidentSpec("drop_orders", size=0.6, labels=_WEB),
        IncidentSpec("tracking_loss", size=0.5, labels=_APP),
        IncidentSpec("producer_loses", labels=_OMS_2),
        IncidentSpec("outage", lasts_s=300),
        IncidentSpec("stock_out", lasts_s=1200, labels=_PHONES),
        IncidentSpec("dispatch_stop", labels=_WMS_WEST),
    )
    for first, second in permutations(some, 2):
        if (first, second) != (whole, west):
            after = IncidentSpec(second.kind, _LATER_S, second.lasts_s, second.size, second.labels)
            yield Sale((first, after), (1000.0,))


GROUPS: Mapping[str, Sequence[Sale]] = {
    "drops": [*_drops()],
    "others": [*_others()],
    "faults": [*_faults()],
    "partial": [*_partial()],
    "late": [*_late()],
    "rare": [*_rare()],
    "drift": [*_drift()],
    "ends": [*_ends()],
    "two": [*_two()],
}


def cases(group: str) -> Iterator[tuple[str, int, Sale]]:
    """(group, number, sale) of one group, of several with commas between them, or of all."""
    for name, sales in GROUPS.items():
        if group == "all" or name in group.split(","):
            yield from ((name, number, sale) for number, sale in enumerate(sales))

"""Dispatches of each warehouse, compared with those usual at this time.

Usual is the lowest of comparable windows, so that nights, breaks and days off are no loss: of the same weekday one and
two weeks ago; while two weeks are not known, of yesterday and of the week that is. A warehouse is expected to dispatch
fewer than usual where the others do, so that a holiday of all is no loss either. Windows of the past are also taken
half an hour (weeks: an hour) later, because closing times vary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.dictionary.names import ALL
from streams.model.windows import Window
from streams.panes.arrays import Ints
from streams.panes.counters import HOUR_MS
from streams.panes.scopes import ShipmentDimension
from streams.shipping.counters import ShippingCounter
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView

WHOLE = ""
"""Key of the whole shop."""
_DAY_MS = 24 * HOUR_MS
_PERIODS = ((7, HOUR_MS), (14, HOUR_MS), (1, HOUR_MS // 2))
"""(days ago, how much later the second window is): panes older than some days are of hours"""
MIN_OTHERS = 30
"""Minimum number of dispatches of other warehouses to compare with them."""

Dispatches = Mapping[str, int]
"""# {warehouse, or `WHOLE`: orders dispatched in a window}; an absent one has none"""


@dataclass(frozen=True, slots=True)
class DispatchLevel:
    """Dispatches of a warehouse, or of the whole shop, in a window."""

    counted: int
    usual: float
    """Expected dispatches; NaN: unknown."""

    @property
    def share(self) -> float:
        """Counted of the usual dispatches; NaN if unknown, or if none are usual."""
        return self.counted / self.usual if self.usual > 0 else np.nan

    @property
    def missing(self) -> float:
        """Dispatches that should have taken place; 0 if unknown."""
        return max(0.0, self.usual - self.counted)


def compare(now: Dispatches, past: Sequence[Sequence[Dispatches]]) -> dict[str, DispatchLevel]:
    """Compare with the windows of comparable days. `past`: # [day][window]; with fewer than two days, the usual level
    is known only where other warehouses confirm it."""
    names = dict.fromkeys([WHOLE, *now, *(name for day in past for window in day for name in window)])
    return {name: DispatchLevel(now.get(name, 0), _usual(name, now, past)) for name in names}


def _usual(name: str, now: Dispatches, past: Sequence[Sequence[Dispatches]]) -> float:
    others_now = now.get(WHOLE, 0) - now.get(name, 0)
    expected, confirmed = [], len(past) >= 2
    for window in (window for day in past for window in day):
        usual = float(window.get(name, 0))
        others = 0 if name == WHOLE else window.get(WHOLE, 0) - window.get(name, 0)
        if others >= MIN_OTHERS:
            usual *= min(1.0, others_now / others)
            confirmed = True
        expected.append(usual)
    return min(expected) if expected and confirmed else np.nan


@dataclass(slots=True)
class DispatchReader:
    """Reads dispatches from the view; those of the past once a minute."""

    _past: dict[Window, tuple[int, list[list[Dispatches]]]] = field(default_factory=dict)
    """# window: (minute of the as-of, dispatches of comparable days)"""

    async def levels(self, view: RollingView, window: Window, at_ms: int) -> dict[str, DispatchLevel]:
        """Dispatches by warehouse and of the whole shop, at the newest as-of.

        Raises NotReadyError, NotAnswerableError.
        """
        as_of_ms = view.resolve_as_of_ms(None, at_ms)
        now = await _dispatches(view, KpiQuery(window), at_ms)
        minute, past = self._past.get(window, (-1, []))
        if as_of_ms // 60_000 != minute:
            days = [await _comparable(view, window, as_of_ms, *period, at_ms) for period in _PERIODS]
            known = [windows for windows in days[:2] if windows]
            past = known if len(known) == 2 else [windows for windows in (*known, days[2]) if windows]
            self._past[window] = as_of_ms // 60_000, past
        return compare(now, past)


async def _comparable(
    view: RollingView, window: Window, as_of_ms: int, days_ago: int, later_ms: int, now_ms: int
) -> list[Dispatches]:
    """Two windows of a former day; none if they are not kept, or nothing was dispatched on that day."""
    at_ms = as_of_ms - days_ago * _DAY_MS
    try:
        day = await _dispatches(view, KpiQuery(Window.H24, as_of_ms=at_ms + 12 * HOUR_MS), now_ms)
        if not day.get(WHOLE):
            return []
        return [await _dispatches(view, KpiQuery(window, as_of_ms=at), now_ms) for at in (at_ms, at_ms + later_ms)]
    except NotAnswerableError:
        return []


async def _dispatches(view: RollingView, query: KpiQuery, now_ms: int) -> Dispatches:
    resolved = view.shipping_at(query, now_ms)
    of_warehouses: list[int] = [*resolved.rows.of(ShipmentDimension.WAREHOUSE)]
    whole = resolved.rows.find(ALL, "")
    rows: Ints = np.array([-1 if whole is None else whole, *of_warehouses], np.int64)
    counted = (await resolved.windowed(rows))[:, ShippingCounter.SHIP_INTERVALS].tolist()
    names = [WHOLE, *(resolved.rows.labels[row][1] for row in of_warehouses)]
    return {name: count for name, count in zip(names, counted, strict=True) if count}

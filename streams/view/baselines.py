"""KPIs of the baselines of running promotions, at the same time since their start. Cached for a minute."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping

from consumers.contract.events import Promotion
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.compare_rules import ComparisonPeriod
from streams.view.comparer import Comparer
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView

_MINUTE_MS = 60_000
_MOST = 64


class Baselines:
    """Baselines of one server, as of the last full minute."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._kept: OrderedDict[str, tuple[object, Mapping[str, Number]]] = OrderedDict()
        """# {promotion_id: (cache key, KPIs)}"""

    async def of(self, view: RollingView, at_ms: int, promotion: Promotion, as_of_ms: int) -> Mapping[str, Number]:
        """KPIs and counters of a promotion's baseline, in scope and window `promotion`; empty without a baseline."""
        name, as_of_ms = promotion.promotion_id, as_of_ms - as_of_ms % _MINUTE_MS
        cache_key = (as_of_ms, view.state.promotions_version, view.state.epochs)
        kept = self._kept.get(name)
        if kept is not None and kept[0] == cache_key:
            return kept[1]
        found: Mapping[str, Number] = {}
        with contextlib.suppress(NotAnswerableError):  # no baseline, or its panes have expired
            query = KpiQuery(Window.PROMOTION, Scope.PROMOTION, as_of_ms)
            (item,) = (await Comparer(view, at_ms, self._timezone).one(query, name, ComparisonPeriod.BASELINE)).items
            found = {} if item.then is None else item.then.values
        self._kept[name] = cache_key, found
        self._kept.move_to_end(name)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return found

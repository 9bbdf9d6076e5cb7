"""Questions asked twice: now, and at the moment that now is compared with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumers.contract.events import Promotion
from streams import promotions
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.asking import Answer, Item, NotAnswerableError, Question
from streams.view.compare_rules import Against, Comparison, pair_of
from streams.view.promotion_scope import Asker
from streams.view.rolling import RollingView


@dataclass(frozen=True, slots=True)
class Then:
    """The moment that is compared with."""

    as_of_ms: int
    offset_ms: int
    """From there to the as-of that is compared."""
    promotion: str | None
    """The baseline whose clock was followed, or the promotion whose time window `promotion` covered; else None."""


@dataclass(frozen=True, slots=True)
class ComparedItem:
    """One value of a scope."""

    now: Item
    then: Item | None
    at: Then | None
    """None, as `then`: a promotion among others that has no baseline to be compared with."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An answer beside its like."""

    now: Answer
    at: Then | None
    """None where each item is compared with a moment of its own."""
    items: list[ComparedItem]


@dataclass(frozen=True, slots=True)
class ComparedSeries:
    """The points of another time on the axis of the present one."""

    offset_ms: int
    """From a moment compared with to its place on the axis, at the last point. Where a clock change lies between the
    points, earlier ones are an hour off it."""
    promotion: str | None
    points: list[tuple[int, Number]]
    """# <(place on the axis, epoch ms; number)>"""


class Comparer:
    """Asks the view at one moment of the machine's clock."""

    def __init__(self, view: RollingView, at_ms: int, timezone: str) -> None:
        self._view = view
        self._at_ms = at_ms
        self._timezone = timezone
        self._asker = Asker(view, at_ms)

    async def one(self, question: Question, value: str, against: Against) -> Compared:
        """One value of a scope now and then, both at the same place of their clocks."""
        comparison, question = self._aligned(question, value, against)
        now = await self._view.one(question, value, self._at_ms)
        asked = _asked_then(comparison, question, now.promotion, now.as_of_ms)
        then = await self._view.one(asked, _value_then(comparison, question.scope, value), self._at_ms)
        at = _then(now, then, comparison)
        return Compared(now, at, [ComparedItem(now.items[0], then.items[0], at)])

    async def every(self, question: Question, against: Against) -> Compared:
        """Each value that counts anything now, the largest by GMV first, and the same values then."""
        if question.scope is Scope.PROMOTION and question.promotion is None:
            return await self._every_promotion(question, against)
        comparison, question = self._aligned(question, None, against)
        now = await self._asker.every(question)
        asked = _asked_then(comparison, question, now.promotion, now.as_of_ms)
        values = [_value_then(comparison, question.scope, item.value) for item in now.items]
        then = await self._view.several(asked, values, self._at_ms)
        at = _then(now, then, comparison)
        pairs = zip(now.items, then.items, strict=True)
        return Compared(now, at, [ComparedItem(item, other, at) for item, other in pairs])

    async def series(
        self, question: Question, value: str, name: str, moments_ms: Sequence[int], against: Against
    ) -> ComparedSeries:
        """One number at the moments that these are compared with."""
        last_ms = moments_ms[-1]
        comparison = self._comparison(question, value, against, last_ms)
        asked = _asked_then(comparison, question, self._covered(question, last_ms), last_ms)
        then_ms = {at: comparison.then_ms(at) for at in moments_ms}
        moments = sorted(set(then_ms.values()))
        row = _value_then(comparison, question.scope, value)
        numbers = dict(await self._view.series(asked, row, name, moments, self._at_ms))
        as_ofs = sorted(numbers)
        points: dict[int, Number] = {}
        for at, then in then_ms.items():
            as_of_ms = as_ofs[bisect_right(as_ofs, then) - 1]  # far back only minutes are kept
            points[at - then + as_of_ms] = numbers[as_of_ms]
        return ComparedSeries(last_ms - then_ms[last_ms], asked.promotion, sorted(points.items()))

    # ------------------------------------------------------------------------------------------------------------------

    async def _every_promotion(self, question: Question, against: Against) -> Compared:
        """Each promotion by its own clock; one without a baseline stands alone."""
        now = await self._asker.every(question)
        items = []
        for item in now.items:
            try:
                compared = await self.one(replace(question, as_of_ms=now.as_of_ms), item.value, against)
            except NotAnswerableError:
                items.append(ComparedItem(item, None, None))
            else:
                items += compared.items
        return Compared(now, None, items)

    def _aligned(self, question: Question, value: str | None, against: Against) -> tuple[Comparison, Question]:
        """How to compare, and the question about now.

        Where the past is kept by the minute, now is taken less than a minute earlier too: 90 seconds of a sale beside
        60 of the last would show growth that is none.
        """
        at_ms = self._view.moment_ms(question.as_of_ms, self._at_ms)
        comparison = self._comparison(question, value, against, at_ms)
        then_ms = comparison.then_ms(at_ms)
        at_ms -= then_ms - self._view.moment_ms(then_ms, self._at_ms)
        return comparison, replace(question, as_of_ms=at_ms)

    def _comparison(self, question: Question, value: str | None, against: Against, at_ms: int) -> Comparison:
        pair = None
        if against is Against.BASELINE:
            pair = pair_of(self._promotion(question, value, at_ms), self._view.promotions, at_ms)
        return Comparison(against, self._timezone, pair)

    def _promotion(self, question: Question, value: str | None, at_ms: int) -> Promotion | None:
        """Whose clock it is."""
        named = value if question.scope is Scope.PROMOTION and value is not None else question.promotion
        if named is None:
            return promotions.current(self._view.promotions, at_ms)
        if named not in self._view.promotions:
            known = ", ".join(sorted(self._view.promotions)) or "none"
            raise NotAnswerableError(f"there is no promotion {named!r}; known: {known}")
        return self._view.promotions[named]

    def _covered(self, question: Question, at_ms: int) -> str | None:
        """The promotion whose time window `promotion` covers, where the scope's value does not tell."""
        if question.window is not Window.PROMOTION or question.promotion is not None:
            return question.promotion
        held = promotions.current(self._view.promotions, at_ms)
        return None if held is None else held.promotion_id


def _asked_then(comparison: Comparison, question: Question, covered: str | None, at_ms: int) -> Question:
    """The question about the moment that `at_ms` is compared with.

    Without a baseline it is about the same promotion as now, though another may have been the latest then.
    """
    pair = comparison.pair
    promotion = covered if pair is None else pair.baseline.promotion_id
    return replace(question, as_of_ms=comparison.then_ms(at_ms), promotion=promotion)


def _then(now: Answer, then: Answer, comparison: Comparison) -> Then:
    pair = comparison.pair
    promotion = then.promotion if pair is None else pair.baseline.promotion_id
    return Then(then.as_of_ms, now.as_of_ms - then.as_of_ms, promotion)


def _value_then(comparison: Comparison, scope: Scope, value: str) -> str:
    """The value that stood then where this one stands now: of a promotion its baseline, else the same."""
    pair = comparison.pair
    if pair is not None and scope is Scope.PROMOTION and value == pair.promotion.promotion_id:
        return pair.baseline.promotion_id
    return value

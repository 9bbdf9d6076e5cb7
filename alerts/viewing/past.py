"""The moments that a moment is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from alerts.rules.detect import Against
from consumers.events import Promotion
from consumers.topics import Partition
from streams import promotions
from streams.compare import days_before, pair_of
from streams.settings import Settings
from streams.view.asking import NotAnswerableError, Question
from streams.windows import Span, Window, span

WEEKS_BACK = 4
DAYS_BACK = 6


def moments(
    against: Against, window: Window, at_ms: int, known: Mapping[str, Promotion], settings: Settings
) -> Iterator[list[Question]]:
    """Which questions tell what is comparable, the better first: of the first that have any answer, all count."""
    zone = settings.timezone
    match against:
        case Against.PROMOTION_CLOCK:
            current = promotions.current(known, at_ms)
            with contextlib.suppress(NotAnswerableError):  # it has no baseline
                pair = pair_of(current, known, at_ms)
                yield [Question(window, as_of_ms=at_ms - pair.offset_ms, promotion=pair.baseline.promotion_id)]
        case Against.YESTERDAY:
            yield [Question(window, as_of_ms=days_before(at_ms, 1, zone))]
        case Against.LAST_WEEK:
            yield [Question(window, as_of_ms=days_before(at_ms, 7, zone))]
        case Against.SEASONAL:
            for days in ([7 * week for week in range(1, WEEKS_BACK + 1)], list(range(1, DAYS_BACK + 1))):
                yield [Question(window, as_of_ms=days_before(at_ms, back, zone)) for back in days]


def is_whole(question: Question, holes_ms: Mapping[Partition, int], settings: Settings) -> bool:
    """Whether no records were lost in what a question covers, as far as is known. `holes_ms`: since when they were."""
    assert question.as_of_ms is not None
    covered = Span(question.as_of_ms // 1000 - 86_400, question.as_of_ms // 1000)
    if question.window is not Window.PROMOTION:
        covered = span(question.window, question.as_of_ms, timezone=settings.timezone, promotion=None)
    return not any(covered.start_s <= at_ms // 1000 < covered.end_s for at_ms in holes_ms.values())

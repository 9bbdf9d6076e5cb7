"""The study's lines as tables in Markdown."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from alerts.rehearsal.bounds import poisson_interval
from alerts.rehearsal.score import MONEY_WITHIN

Line = Mapping[str, Any]
Pair = tuple[Line, Line]
"""(incident, sale)"""
SHORT_OF, ALLOWED_S = 1.5, 5.0
"""A median delay of more times the bound falls short, beyond the seconds for events in transit and the evaluation."""
_EACH = 2
"""The delays of so few sales are stated one by one: a median of two says nothing."""
GROUP_NAMES: Mapping[str, str] = {
    "drops": "Drops of orders",
    "others": "Other incidents",
    "faults": "A fault of the data, then an incident",
    "partial": "A part of one producer's events is lost",
    "late": "Late events",
    "rare": "Rare failures, 8 % to 55 % at 45 attempts/min",
    "drift": "A drop under drift of ±10 %",
    "ends": "Drops of 10 to 15 min",
    "two": "Two at a time",
}


def study_table(lines: Iterable[Line]) -> Iterator[str]:
    """Calm days by shape, drops by size, part and rate, other incidents by group, and what falls short."""
    every = list(lines)
    calm = [line for line in every if line["part"] == "calm"]
    struck = [line for line in every if line["part"] == "struck"]
    if calm:
        yield from _calm_table(calm)
    if struck:
        if calm:
            yield ""
        yield from _struck_tables(struck)


# Calm days ------------------------------------------------------------------------------------------------------------


def _calm_table(lines: list[Line]) -> Iterator[str]:
    """`orders`: orders in the five minutes after a page over those of the 20 min before, the median of all pages."""
    rates = sorted({line["rate"] for line in lines})
    of_rates = " / ".join(f"{rate:,.0f}" for rate in rates)
    yield f"| shape | days | false pages at {of_rates} orders/min | a day of 24 h (95 %) | critical | orders | rules |"
    yield "| --- | --: | --: | --: | --: | --: | --- |"
    for shape, some in _by(lines, lambda line: line["shape"]).items():
        yield _calm_row(shape, rates, some)
    yield _calm_row("**all**", rates, lines)
    hours = sum(line["days"] for line in lines) * 24 / len(lines)
    false = sum(len(line["false"]) for line in lines)
    low, high = poisson_interval(false, len(lines) / 10)
    rate = false / len(lines) * 10
    interval = f"95 %: {low:.2f} to {high:.2f}"
    yield f"\n{len(lines)} days of {hours:.1f} h: {rate:.2f} false pages in ten such days ({interval})."
    stock = [one for line in lines for one in line["incidents"] if one["kind"] == "stock_out"]
    if stock:
        seen = sum(one["delay_s"] is not None for one in stock)
        pages = sum(line["pages"] for line in lines if line["shape"] == "tight_stock")
        each = f"{pages} pages, {pages / len(stock):.2f} for each SKU"
        yield f"\n{len(stock)} SKUs sold out on days of tight stock: {seen} reported, {each}."


def _calm_row(shape: str, rates: Sequence[float], lines: list[Line]) -> str:
    false = [page for line in lines for page in line["false"]]
    days = sum(line["days"] for line in lines)
    low, high = poisson_interval(len(false), days)
    which = Counter(page["series"].partition("{")[0] for page in false)
    names = ", ".join(f"{name} {many}" for name, many in which.most_common(4))
    critical = sum(page["severity"] == "critical" for page in false)
    by_rate = [sum(len(line["false"]) for line in lines if line["rate"] == rate) for rate in rates]
    cells = (
        shape,
        str(len(lines)),
        " / ".join(map(str, by_rate)),
        f"{len(false) / days:.1f} ({low:.1f} to {high:.1f})",
    )
    ratios = [page["orders"] for page in false if page["orders"] is not None]
    orders = f"{median(ratios):.2f}" if ratios else ""
    return f"| {' | '.join((*cells, str(critical), orders, names))} |"


# Incidents ------------------------------------------------------------------------------------------------------------


def _struck_tables(lines: list[Line]) -> Iterator[str]:
    pairs = [(one, line) for line in lines for one in line["incidents"]]
    drops = [pair for pair in pairs if pair[1]["group"] == "drops"]
    if drops:
        yield from _drops_table(drops)
        yield ""
    yield (
        "| incident | orders/min | n | reported | delay | bound | pages each | right name | money within 2 "
        "| open to the end | closed after | false (critical) |"
    )
    yield "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    for group, of_group in _by(pairs, lambda pair: pair[1]["group"]).items():
        if group not in ("drops", "two"):
            for (name, rate), some in _by(of_group, lambda pair: (_name(*pair), pair[1]["rate"])).items():
                yield _struck_row(name, f"{rate:,.0f}", some)
        yield _struck_row(f"**{GROUP_NAMES[group]}**", "", of_group)
    yield _struck_row("**All**", "", pairs)
    two = [pair for pair in pairs if pair[1]["group"] == "two"]
    if two:
        yield ""
        yield from _two_table(two)
    short = [*_short([pair for pair in pairs if pair[1]["group"] != "two"])]
    if short:
        yield f"\nNot always detected, or after {SHORT_OF:g} bounds and {ALLOWED_S:.0f} s: {'; '.join(short)}."


def _two_table(pairs: list[Pair]) -> Iterator[str]:
    """Delay of the first / of the second incident, by first (rows) and second (columns)."""
    kinds = [*dict.fromkeys(_kind(one) for one, _ in pairs)]
    yield f"| first, and five minutes later: | {' | '.join(kinds)} |"
    yield f"| --- |{' --: |' * len(kinds)}"
    sales = _by({id(line): line for _, line in pairs}.values(), lambda line: tuple(map(_kind, line["incidents"])))
    for first in kinds:
        cells = [_delays_of_two(sales.get((first, second), [])) for second in kinds]
        yield f"| {first} | {' | '.join(cells)} |"


def _delays_of_two(sales: list[Line]) -> str:
    places = [[(line["incidents"][place], line) for line in sales] for place in (0, 1)]
    return " / ".join(seconds(median_delay(some)) for some in places) if sales else ""


def _drops_table(pairs: list[Pair]) -> Iterator[str]:
    """Delays / bound with the delays of orders / Bernoulli's, by size and part (rows) and rate (columns)."""
    rates = sorted({line["rate"] for _, line in pairs})
    yield f"| orders lost | {' | '.join(f'{rate:,.0f}/min' for rate in rates)} |"
    yield f"| --- |{' --: |' * len(rates)}"
    for name, some in _by(pairs, lambda pair: _size_and_part(pair[0])).items():
        by_rate = _by(some, lambda pair: pair[1]["rate"])
        yield f"| {name} | {' | '.join(_against_bound(by_rate.get(rate, [])) for rate in rates)} |"


def _against_bound(pairs: list[Pair]) -> str:
    if not pairs:
        return ""
    delays = sorted(math.inf if one["delay_s"] is None else float(one["delay_s"]) for one, _ in pairs)
    bounds = [seconds(median([one[name] for one, _ in pairs])) for name in ("delayed_s", "bound_s")]
    if len(delays) <= _EACH:
        return " / ".join((", ".join(map(seconds, delays)), *bounds))
    reported = sum(map(math.isfinite, delays))
    text = " / ".join((seconds(median(delays)), *bounds))
    return text if reported == len(pairs) else f"{text} ({reported} of {len(pairs)} reported)"


def _short(pairs: list[Pair]) -> Iterator[str]:
    for name, of_name in _by(pairs, lambda pair: _name(*pair)).items():
        found = []
        for rate, some in _by(of_name, lambda pair: pair[1]["rate"]).items():
            delay, bound = median_delay(some), median([one["bound_s"] for one, _ in some])
            missed = sum(one["delay_s"] is None for one, _ in some)
            if missed or delay > SHORT_OF * bound + ALLOWED_S:
                detected = f"{len(some) - missed} of {len(some)}, " if missed else ""
                found.append(f"{rate:,.0f}/min: {detected}{seconds(delay)}")
        if found:
            yield f"{name} ({', '.join(found)})"


def _kind(one: Line) -> str:
    return f"{one['kind'].replace('_', ' ')} {_size_and_part(one)}"


def _size_and_part(one: Line) -> str:
    return f"{one['size']:.0%} {' '.join(one['labels'].values()) or 'whole'}".replace("%", " %")


def _name(one: Line, line: Line) -> str:
    name = _kind(one)
    if len(line["incidents"]) > 1:
        place = next(place for place, other in enumerate(line["incidents"]) if other is one)
        other = line["incidents"][1 - place]
        name += f" ({'before' if place == 0 else 'after'} {_kind(other)})"
    return name if line["shape"] == "plain" else f"{name}, {line['shape']}"


def _struck_row(name: str, rate: str, some: list[Pair]) -> str:
    ones = [one for one, _ in some]
    reported = [one for one in ones if one["delay_s"] is not None]
    priced = [one for one in reported if one["lost_per_minute"] and one["money"] is not None]
    ratios = [one["money"] / one["lost_per_minute"] for one in priced]
    money = sum(1 / MONEY_WITHIN <= ratio <= MONEY_WITHIN for ratio in ratios)
    sales = {id(line): line for _, line in some}.values()
    of_sales = sum(len(line["incidents"]) for line in sales)
    pages = sum(line["pages"] for line in sales) / of_sales
    false = [page for line in sales for page in line["false"]]
    critical = sum(page["severity"] == "critical" for page in false)
    closed = [float(one["closed_after_s"]) for one in reported if one["open_to_end"]]
    cells = (
        name,
        rate,
        str(len(ones)),
        str(len(reported)),
        seconds(median_delay(some)),
        seconds(median([one["bound_s"] for one in ones])),
        f"{pages:.2f}",
        f"{sum(one['named'] for one in reported)}/{len(reported)}",
        f"{money}/{len(priced)}" + (f" (× {median(ratios):.2f})" if ratios else ""),
        f"{sum(one['open_to_end'] for one in reported)}/{len(reported)}",
        seconds(median(closed)),
        f"{len(false)} ({critical})" if false else "0",
    )
    return f"| {' | '.join(cells)} |"


# Numbers --------------------------------------------------------------------------------------------------------------


def _by(items: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def median_delay(pairs: Iterable[Pair]) -> float:
    """The median, with what is not reported as infinite."""
    return median([math.inf if one["delay_s"] is None else float(one["delay_s"]) for one, _ in pairs])


def median(numbers: Sequence[float]) -> float:
    """The median of the numbers that are not NaN; of an even number, the mean of the two in the middle."""
    known = [number for number in numbers if not math.isnan(number)]
    return statistics.median(known) if known else math.nan


def seconds(number: float) -> str:
    """`42 s`, or `never` for infinity."""
    if math.isnan(number):
        return ""
    return "never" if math.isinf(number) else f"{number:.0f} s" if number >= 10 else f"{number:.1f} s"

"""One table of the study's lines, in Markdown."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.bench.study.bounds import poisson_interval
from tests.bench.study.judging import MONEY_WITHIN

Line = Mapping[str, Any]


def study_table(lines: Iterable[Line]) -> Iterator[str]:
    """The lines of `calm` by shape and rate, those of `struck` by kind, size, place and rate.

    `orders` is the median, over false pages, of the orders after their start against those before.
    """
    held = list(lines)
    calm = [line for line in held if line["part"] == "calm"]
    struck = [line for line in held if line["part"] == "struck"]
    if calm:
        yield from _calm_table(calm)
    if struck:
        yield ""
        yield from _struck_table(struck)


def _calm_table(lines: list[Line]) -> Iterator[str]:
    yield "| shape | orders/min | days of 24 h | false pages | a day (95 %) | critical | orders | which |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --- |"
    groups: dict[tuple[str, float], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line["shape"], line["rate"]].append(line)
    for (shape, rate), some in groups.items():
        yield _calm_row(shape, f"{rate:,.0f}", some)
    yield _calm_row("**all**", "", lines)
    stock = [one for line in lines for one in line["incidents"]]
    if stock:
        seen = sum(one["delay_s"] is not None for one in stock)
        pages = sum(one["pages"] + one["late"] for one in stock)
        each = f"{pages / len(stock):.2f} pages each"
        yield f"\n{len(stock)} SKUs sold out on days of tight stock: {seen} reported, {each}."


def _calm_row(shape: str, rate: str, lines: list[Line]) -> str:
    false = [page for line in lines for page in line["false"]]
    days = sum(line["days"] for line in lines)
    low, high = poisson_interval(len(false), days)
    which = Counter(page["series"].partition("{")[0] for page in false)
    names = ", ".join(f"{name} {many}" for name, many in which.most_common(4))
    critical = sum(page["severity"] == "critical" for page in false)
    cells = (shape, rate, f"{days:.2f}", str(len(false)), f"{len(false) / days:.1f} ({low:.1f} to {high:.1f})")
    ratios = [page["orders"] for page in false if page["orders"] is not None]
    orders = f"{_median(ratios):.2f}" if ratios else ""
    return f"| {' | '.join((*cells, str(critical), orders, names))} |"


def _struck_table(lines: list[Line]) -> Iterator[str]:
    yield (
        "| incident | orders/min | n | recall | delay (median) | bound | Lorden | pages each | right name "
        "| money within 2 | false |"
    )
    yield "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    groups: dict[tuple[str, float], list[tuple[Line, Line]]] = defaultdict(list)
    for line in lines:
        for one in line["incidents"]:
            groups[_name(one, line), line["rate"]].append((one, line))
    for (name, rate), some in groups.items():
        yield _struck_row(name, f"{rate:,.0f}", some)
    yield _struck_row("**all**", "", [pair for some in groups.values() for pair in some])


def _name(one: Line, line: Line) -> str:
    where = " ".join(one["labels"].values()) or "whole"
    return f"{one['kind']} {one['size']:.0%} {where}" + (" (of two)" if len(line["incidents"]) > 1 else "")


def _struck_row(name: str, rate: str, some: list[tuple[Line, Line]]) -> str:
    ones = [one for one, _ in some]
    seen = [one for one in ones if one["delay_s"] is not None]
    delays = [math.inf if one["delay_s"] is None else float(one["delay_s"]) for one in ones]
    priced = [one for one in seen if one["lost_per_minute"] and one["money"] is not None]
    money = sum(1 / MONEY_WITHIN <= one["money"] / one["lost_per_minute"] <= MONEY_WITHIN for one in priced)
    sales = {id(line): line for _, line in some}.values()
    of_sales = sum(len(line["incidents"]) for line in sales)
    pages = sum(line["pages"] for line in sales) / of_sales
    false = sum(len(line["false"]) for line in sales)
    cells = (
        name,
        rate,
        str(len(ones)),
        f"{len(seen) / len(ones):.0%}",
        _seconds(_median(delays)),
        _seconds(_median([one["bound_s"] for one in ones])),
        _seconds(_median([one["poisson_s"] for one in ones])),
        f"{pages:.2f}",
        f"{sum(one['named'] for one in seen)}/{len(seen)}",
        f"{money}/{len(priced)}",
        str(false),
    )
    return f"| {' | '.join(cells)} |"


def _median(numbers: list[float]) -> float:
    known = sorted(number for number in numbers if number is not None and not math.isnan(number))
    return known[(len(known) - 1) // 2] if known else math.nan


def _seconds(number: float) -> str:
    if math.isnan(number):
        return ""
    return "never" if math.isinf(number) else f"{number:.0f} s" if number >= 10 else f"{number:.1f} s"

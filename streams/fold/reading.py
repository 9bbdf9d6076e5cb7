"""Fields of events as arrays: numbers, hashes, and rows in the dimensions of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from consumers.dedup import Hashes, hash_strings
from streams.dictionary.types import Dimension, DimensionKind
from streams.panes.arrays import Ints, unique_inverse
from streams.panes.rows import RowIndex

Bools: TypeAlias = npt.NDArray[np.bool_]
NumberColumn: TypeAlias = tuple[Ints, Bools | None] | None
"""(numbers, 0 where absent; mask of those present, None if all are); None if no event has the field."""
Fields: TypeAlias = Mapping[str, Sequence[Any]]
"""# <field: its value in each event>"""

_ABSENT = -(1 << 63)
_QUARTER_MS = 900_000
"""Clocks differ from UTC by whole quarters of an hour."""


def number_column(values: Sequence[Any]) -> NumberColumn:
    """Numbers or flags."""
    n, missing = len(values), values.count(None)
    if missing == n:
        return None
    if not missing:
        return ints(values, n), None
    numbers = ints([_ABSENT if value is None else value for value in values], n)
    given = numbers != _ABSENT
    numbers[~given] = 0
    return numbers, given


def code_column(values: Sequence[str | None], codes: Mapping[str | None, int]) -> Ints | None:
    """The code of each label, -1 for those without; None if no event has the label."""
    n = len(values)
    return None if values.count(None) == n else ints(map(codes.get, values, repeat(-1)), n)


def hash_column(values: Sequence[str | None]) -> tuple[Hashes, Bools | None] | None:
    """The hash of each label, and which are present, as in `NumberColumn`."""
    n, missing = len(values), values.count(None) + values.count("")
    if missing == n:
        return None
    if not missing:
        return hash_strings(values), None  # type: ignore[arg-type]  # none is None
    given = np.fromiter(map(bool, values), np.bool_, n)
    return hash_strings([value or "" for value in values]), given


def rows_by_dimension(
    dimensions: Sequence[Dimension], fields: Fields, columns: Mapping[str, NumberColumn], ts: Ints, rows: RowIndex
) -> dict[str, Ints]:
    """# <dimension of which any event has a value: row of each event, -1 without a value>

    `columns`: the numbers of bands; `ts`: event times, epoch ms.
    """
    rows_of: dict[str, Ints] = {}
    for dimension in dimensions:
        found = _rows(dimension, fields, columns, ts, rows, rows_of)
        if found is not None:
            rows_of[dimension.name] = found
    return rows_of


def _rows(
    dimension: Dimension,
    fields: Fields,
    columns: Mapping[str, NumberColumn],
    ts: Ints,
    rows: RowIndex,
    rows_of: Mapping[str, Ints],
) -> Ints | None:
    n = len(ts)
    match dimension.kind:
        case DimensionKind.ALL:
            return np.full(n, rows.row(dimension.name, ""))
        case DimensionKind.FIELD:
            values = fields[dimension.field]
            if values.count(None) == n:
                return None
            return ints(map(rows.by_scope[dimension.name].__getitem__, values), n)
        case DimensionKind.BANDS:
            return band_rows(dimension, columns[dimension.field], rows)
        case DimensionKind.CLOCK:
            return _clock_rows(dimension, ts, rows)
        case DimensionKind.CROSS:
            parts = [rows_of[name] for name in dimension.parts if name in rows_of]
            return rows.crossings[dimension.name].of(parts) if len(parts) == len(dimension.parts) else None


def band_rows(dimension: Dimension, column: NumberColumn, rows: RowIndex) -> Ints | None:
    """The row of each number's band, -1 below the first; None without any number."""
    if column is None:
        return None
    numbers, given = column
    row_of_band = np.array([-1, *(rows.row(dimension.name, label) for label in dimension.labels)], np.int64)
    found: Ints = row_of_band[np.searchsorted(np.array(dimension.edges, np.int64), numbers, side="right")]
    if given is not None:
        found[~given] = -1
    return found


def _clock_rows(dimension: Dimension, ts: Ints, rows: RowIndex) -> Ints:
    quarters = ts // _QUARTER_MS
    first = int(quarters.min())
    present, index_of = unique_inverse(quarters - first, int(quarters.max()) - first + 1)
    hours = [_local_hour(rows.timezone, first + quarter) for quarter in present.tolist()]
    found: Ints = np.array([rows.row(dimension.name, str(hour)) for hour in hours], np.int64)[index_of]
    return found


@lru_cache(maxsize=4096)
def _local_hour(timezone: str, quarter: int) -> int:
    return datetime.fromtimestamp(quarter * _QUARTER_MS // 1000, ZoneInfo(timezone)).hour


def ints(numbers: Iterable[int], n: int) -> Ints:
    """`n` integers as an array."""
    return np.fromiter(numbers, np.int64, n)

"""Dictionary encoding of (scope, value) pairs as rows, and of the names in the stock ledger."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import DimensionKind, Model
from streams.panes.cross_rows import CrossRows
from streams.panes.keys import N_IDS
from streams.panes.scopes import DIMENSION_IDS, Dimension, Scope


class Numbering(dict[str, int]):
    """Assigns numbers from 0 to unknown names. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        """# <number>: name"""
        self._lock = Lock()

    def __missing__(self, name: str) -> int:
        with self._lock:
            known = self.get(name)
            if known is not None:
                return known
            number = len(self.names)
            self.names.append(name)
            self[name] = number
            return number


class StockNames:
    """The numbers of one process, meaningless outside it: stored data holds the names."""

    def __init__(self) -> None:
        self.skus = Numbering()
        self.warehouses = Numbering()
        self.promotions = Numbering()

    def __len__(self) -> int:
        return len(self.skus.names) + len(self.warehouses.names) + len(self.promotions.names)


class RowIndex:
    """Numbers (scope, value) pairs, so that arrays hold integers instead of strings. Thread-safe.

    The numbers are meaningless outside this `RowIndex`: stored data holds the strings.
    """

    def __init__(self, model: Model = BUILT_IN, timezone: str = "UTC") -> None:
        self.model = model
        self.timezone = timezone
        """Of the shop: clock dimensions have its local hours."""
        self.lock = Lock()
        self.labels: list[tuple[Dimension, str]] = []
        """# <row>: (scope, value)"""
        self.scope_ids = bytearray()
        """# <row>: id of its scope, in the model or in `DIMENSION_IDS`"""
        self.by_scope: dict[Dimension, ScopeRows] = {}
        """# <scope: its rows>, without scopes that were read and are unknown"""
        self._by_id: dict[int, ScopeRows] = {}
        self._has_coarse_distincts = np.zeros(N_IDS, np.bool_)
        """# [scope id]"""
        of_model = {dimension.name: dimension.id for dimension in model.dimensions.values()}
        for scope, scope_id in {**DIMENSION_IDS, **of_model}.items():
            self.by_scope[scope] = self._by_id[scope_id] = ScopeRows(self, scope, scope_id)
        for dimension in model.dimensions.values():
            self._has_coarse_distincts[dimension.id] = dimension.coarse_distincts
        self.crossings = {
            dimension.name: CrossRows(self, dimension.name, len(dimension.parts))
            for dimension in model.dimensions.values()
            if dimension.kind is DimensionKind.CROSS
        }
        self.stock = StockNames()
        """The numbers of the stock ledger."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> int:
        """Size of the largest dictionary, the stock ledger's included; determines memory."""
        return max(len(self), len(self.stock))

    def row(self, scope: Dimension, value: str) -> int:
        """The row of a pair, assigned if new."""
        return self.by_scope[scope][value]

    def written(self, rows: Sequence[int]) -> tuple[bytes, list[str]]:
        """The stored form of rows: # (scope id of each as a byte, value of each)"""
        ids, labels = self.scope_ids, self.labels
        return bytes([ids[row] for row in rows]), [labels[row][1] for row in rows]

    def read(self, scope_ids: bytes, values: Sequence[str]) -> npt.NDArray[np.int64]:
        """The rows of a stored form, assigned where new, also in scopes that the model does not know.

        So a worker keeps the numbers of dimensions of another model when it merges what is stored.
        """
        by_id = self._by_id
        for scope_id in set(scope_ids) - by_id.keys():
            by_id.setdefault(scope_id, ScopeRows(self, f"#{scope_id}", scope_id))
        row_of_each = (by_id[scope_id][value] for scope_id, value in zip(scope_ids, values, strict=True))
        return np.fromiter(row_of_each, np.int64, len(values))

    def of(self, scope: Dimension) -> list[int]:
        """All rows of a scope."""
        rows: list[int] = np.flatnonzero(self.mask(scope)).tolist()
        return rows

    def mask(self, scope: Dimension) -> npt.NDArray[np.bool_]:
        """For each existing row, whether it belongs to a scope."""
        mask: npt.NDArray[np.bool_] = self._scope_id_of_each() == self.by_scope[scope].scope_id
        return mask

    def coarse_distincts(self) -> npt.NDArray[np.bool_]:
        """For each existing row, whether its distinct counts have coarse panes only (`Dimension.coarse_distincts`)."""
        mask: npt.NDArray[np.bool_] = self._has_coarse_distincts[self._scope_id_of_each()]
        return mask

    def _scope_id_of_each(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(bytes(self.scope_ids), np.uint8)

    def find(self, scope: Dimension, value: str) -> int | None:
        """The row of a pair; None if unknown."""
        return self.by_scope[scope].get(value)


class ScopeRows(dict[str | bool | None, int]):
    """Rows of one scope by value, assigned if new.

    None (no such field) and the empty label are -1, except for the only value of scope `all`. True and False are "true"
    and "false" (scope `member`).
    """

    def __init__(self, rows: RowIndex, scope: Dimension, scope_id: int) -> None:
        super().__init__({None: -1} if scope == Scope.ALL else {None: -1, "": -1})
        self.scope_id = scope_id
        self._rows = rows
        self._scope = scope

    def __missing__(self, value: str | bool | None) -> int:
        if isinstance(value, bool):
            row = self[value] = self["true" if value else "false"]
            return row
        assert value is not None
        with self._rows.lock:
            known = self.get(value)
            if known is not None:
                return known
            row = len(self._rows.labels)
            self._rows.labels.append((self._scope, value))
            self._rows.scope_ids.append(self.scope_id)
            self[value] = row
            return row

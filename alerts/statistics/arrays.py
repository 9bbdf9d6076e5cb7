"""Arrays of detectors, indexed by series."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]


def resized(array: npt.NDArray[Any], size: int, fill: float = 0.0) -> npt.NDArray[Any]:
    """Extend the array for more series, filled."""
    if len(array) >= size:
        return array
    wider = np.full((size, *array.shape[1:]), fill, array.dtype)
    wider[: len(array)] = array
    return wider


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below, NaN over 0."""
    result: Floats = np.divide(
        above, below, out=np.full(np.broadcast_shapes(above.shape, below.shape), np.nan), where=below > 0
    )
    return result

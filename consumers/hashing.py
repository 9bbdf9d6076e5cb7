"""64-bit hashes of ids: the same on every machine and in every version, since they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

NO_HASHES: Hashes = np.zeros(0, np.uint64)


def hash_strings(strings: Sequence[str]) -> Hashes:
    """The XXH3 hash of each string, as UTF-8."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, strings), np.uint64, len(strings))

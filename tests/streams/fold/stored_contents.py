"""The contents of the deltas in `stored_formats`, which earlier versions wrote."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

START_S = 1_699_660_800
_SCOPES = ("promotion", "channel", "region", "category", "campaign", "live_room", "variant", "member", "sku")
_SHIPPED_BY = ("all", "promotion", "channel", "region", "carrier", "warehouse")

Place = tuple[int, str, str, int]
"""(pane, scope, value, id)"""


@dataclass(frozen=True)
class Contents:
    """What a stored delta holds, by name."""

    counters: dict[Place, int]
    """# <place: amount>"""
    distincts: dict[Place, dict[int, int]]
    """# <place: <register: rank>>"""
    shipping_sums: dict[Place, int]
    corrections: dict[tuple[Place, int], int]
    """# <(place, second from which it is valid): amount>"""
    waiting: dict[Place, int]
    moves: dict[tuple[str, str, int], int]
    """# <(SKU, warehouse, ms): units>; "" is no warehouse"""
    levels: dict[tuple[str, str, int], int]
    sales: dict[tuple[str, str, int], int]
    """# <(SKU, promotion, ms): units>"""


def contents(version: int, size: int) -> Contents:
    """About `size` numbers of each kind, of format `version`."""
    chance = Random(size)

    def place(scopes: tuple[str, ...], ids: int, *, step_s: int = 1) -> Place:
        scope = chance.choice(scopes)
        pane = START_S + chance.randrange(0, 3600, step_s)
        return pane, scope, "" if scope == "all" else f"{scope[:2]}-é{chance.randrange(20)}", chance.randrange(ids)

    def sums(ids: int) -> dict[Place, int]:
        return {place(_SHIPPED_BY, ids): chance.choice((-2, -1, 1, 5, 300)) for _ in range(size // 4)}

    def entries(kinds: tuple[str, ...]) -> dict[tuple[str, str, int], int]:
        return {
            (f"sku-{chance.randrange(9)}", chance.choice(kinds), 1000 * START_S + chance.randrange(10**6)): 1 + i
            for i in range(size // 4 if version > 1 else 0)
        }

    every = ("all", *_SCOPES, *(("source",) if version > 1 else ()))
    counters = {place(every, 29 if version < 4 else 31): 1 + chance.randrange(10 ** (1 + i % 12)) for i in range(size)}
    distincts = {
        place(("all", *_SCOPES), 3, step_s=10): {
            chance.randrange(65_536): 1 + chance.randrange(49) for _ in range(1 + chance.randrange(9))
        }
        for _ in range(size // 5)
    }
    corrections = {(at, at[0] + chance.randrange(90)): amount for at, amount in sums(14).items()}
    return Contents(
        counters,
        distincts,
        sums(14),
        corrections,
        sums(14),
        entries(("", "w-1")),
        entries(("w-1", "w-2")),
        entries(("p-1", "p-2")),
    )

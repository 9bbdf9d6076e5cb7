"""Proof that each event was counted exactly once."""

from __future__ import annotations

from dataclasses import dataclass

from streams.local.demo.exact_counts import ExactCounts
from streams.model.formatting import format_money
from streams.store.progress import Totals


@dataclass(frozen=True, slots=True)
class Proof:
    """Sent against counted events, by type."""

    sent: int
    counted: int
    lost: int
    doubled: int
    repeats_sent: int
    repeats_found: int
    gmv_sent: int
    gmv_answered: int | None
    """The API's GMV in the window that covers the sale; None: no answer."""

    @classmethod
    def of(cls, counts: ExactCounts, totals: Totals, gmv_answered: int | None) -> Proof:
        types = counts.events.keys() | totals.events.keys()
        more = [totals.events.get(name, 0) - counts.events.get(name, 0) for name in types]
        return cls(
            sent=counts.distinct,
            counted=sum(totals.events.values()),
            lost=sum(-one for one in more if one < 0),
            doubled=sum(one for one in more if one > 0),
            repeats_sent=counts.repeats,
            repeats_found=totals.duplicates,
            gmv_sent=counts.gmv,
            gmv_answered=gmv_answered,
        )

    @property
    def exact(self) -> bool:
        """Whether every event was counted once and the API's GMV is exact."""
        return not self.lost and not self.doubled and self.gmv_sent == self.gmv_answered

    def lines(self, currency: str, exponent: int) -> list[str]:
        """The proof as text."""
        gmv = f"GMV {format_money(self.gmv_sent, exponent)} {currency}"
        if self.gmv_sent == self.gmv_answered:
            gmv += ", equal to the API's answer to the cent" if exponent == 2 else ", equal to the API's answer"
        elif self.gmv_answered is not None:
            gmv += f", but the API's answer is {format_money(self.gmv_answered, exponent)}"
        return [
            f"produced {self.sent:,} events and {self.repeats_sent:,} duplicates",
            f"counted {self.counted:,} of {self.sent:,} events, {self.lost:,} lost, {self.doubled:,} doubled",
            gmv,
        ]

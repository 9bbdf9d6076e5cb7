"""What was sent against what was counted."""

from __future__ import annotations

from dataclasses import dataclass

from streams.local.demo.exact_counts import ExactCounts
from streams.store.progress import Totals


@dataclass(frozen=True, slots=True)
class Proof:
    """The comparison, type by type of event."""

    sent: int
    counted: int
    lost: int
    doubled: int
    repeats_sent: int
    repeats_found: int
    gmv_sent: int
    gmv_answered: int | None
    """By the API, in the window that covers the sale; None: it did not answer."""

    @classmethod
    def of(cls, tally: ExactCounts, totals: Totals, gmv_answered: int | None) -> Proof:
        types = tally.events.keys() | totals.events.keys()
        more = [totals.events.get(name, 0) - tally.events.get(name, 0) for name in types]
        return cls(
            sent=tally.distinct,
            counted=sum(totals.events.values()),
            lost=sum(-one for one in more if one < 0),
            doubled=sum(one for one in more if one > 0),
            repeats_sent=tally.repeats,
            repeats_found=totals.duplicates,
            gmv_sent=tally.gmv,
            gmv_answered=gmv_answered,
        )

    @property
    def exact(self) -> bool:
        """Whether every event was counted once, and the API says so."""
        return not self.lost and not self.doubled and self.gmv_sent == self.gmv_answered

    def lines(self, currency: str, exponent: int) -> list[str]:
        """For people."""
        sent = self.gmv_sent / 10**exponent
        gmv = f"GMV {sent:,.{exponent}f} {currency}"
        if self.gmv_sent == self.gmv_answered:
            gmv += ", to the cent what the API answers" if exponent == 2 else ", exactly what the API answers"
        elif self.gmv_answered is not None:
            gmv += f", but the API answers {self.gmv_answered / 10**exponent:,.{exponent}f}"
        return [
            f"produced {self.sent:,} events, and {self.repeats_sent:,} of them twice",
            f"counted {self.counted:,} of {self.sent:,} events, {self.lost:,} lost, {self.doubled:,} doubled",
            gmv,
        ]

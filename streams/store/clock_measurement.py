"""The clock of Redis, as it is known here. Pure: what was measured in, the present out.

Every process goes by one clock, that of Redis (of a cluster: of the node that holds shard 0): two machines whose own
clocks differ then agree on what is old, too late or from the future. A measurement asks Redis for its TIME, which was
so at some moment between asking and being answered; the middle is off by half of that at most. From then on this
process's monotonic clock tells the time, so that a step of the machine's clock (NTP, a resumed VM) changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_CLOCK_OFFSET_MS = 2_000
"""A clock that differs from Redis's by more than this is not trusted."""
CLOCK_RECOVERED_MS = 1_000
"""One that was off is trusted again within this, so that one at the limit does not change its state all the time."""
DRIFT = 0.0005
"""How far clocks that are kept by NTP run apart at most, a second each second."""


@dataclass(frozen=True, slots=True)
class ClockMeasurement:
    """What Redis's clock said once."""

    server_ms: float
    """Its TIME, epoch ms."""
    at_s: float
    """The middle between asking and being answered, by the monotonic clock."""
    uncertainty_ms: float
    """Half the round trip: how far `server_ms` may be off at that moment."""

    @classmethod
    def between(cls, asked_s: float, answered_s: float, server_ms: float) -> ClockMeasurement:
        """Of a question that was asked and answered at these moments of the monotonic clock."""
        return cls(server_ms, (asked_s + answered_s) / 2, (answered_s - asked_s) * 500)

    def now_ms(self, now_s: float) -> float:
        """Redis's clock at a moment of the monotonic clock."""
        return self.server_ms + (now_s - self.at_s) * 1000

    def uncertain_ms(self, now_s: float) -> float:
        """How far that may be off."""
        return self.uncertainty_ms + max(0.0, now_s - self.at_s) * 1000 * DRIFT


def better_measurement(held: ClockMeasurement | None, new: ClockMeasurement) -> ClockMeasurement:
    """The one to go by: the more exact one, unless the two contradict each other: then Redis's clock has changed."""
    if held is None:
        return new
    uncertain_ms = held.uncertain_ms(new.at_s)
    if new.uncertainty_ms <= uncertain_ms or new.at_s < held.at_s:
        return new
    differ_ms = abs(held.now_ms(new.at_s) - new.server_ms)
    return new if differ_ms > uncertain_ms + new.uncertainty_ms else held


def is_off(offset_ms: float, uncertain_ms: float, *, was_off: bool) -> bool:
    """Whether a clock that is ahead of Redis's by `offset_ms` (behind: negative) is not to be trusted.

    What may be the round trip's doing is not held against it.
    """
    return abs(offset_ms) - uncertain_ms > (CLOCK_RECOVERED_MS if was_off else MAX_CLOCK_OFFSET_MS)

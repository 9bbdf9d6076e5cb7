"""Measurement of Redis's clock. Pure: samples in, the present out.

All processes use the clock of Redis (in a cluster, of the node with shard 0), so that machines whose clocks differ
agree on what is old, too late or from the future. A sample is the TIME at some moment between request and response;
using the middle, the error is at most half the round trip. The monotonic clock extrapolates from there, so that steps
of the machine's clock (NTP, a resumed VM) have no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_CLOCK_OFFSET_MS = 2_000
"""A machine clock whose offset from Redis's exceeds this is not trusted."""
CLOCK_RECOVERED_MS = 1_000
"""An untrusted clock is trusted again within this offset: the hysteresis prevents flapping."""
DRIFT = 0.0005
"""Maximum drift between NTP-disciplined clocks, seconds per second."""


@dataclass(frozen=True, slots=True)
class ClockMeasurement:
    """One sample of Redis's clock."""

    server_ms: float
    """Redis's TIME, epoch ms."""
    at_s: float
    """Middle between request and response, by the monotonic clock."""
    uncertainty_ms: float
    """Half the round trip: maximum error of `server_ms` at that time."""

    @classmethod
    def between(cls, asked_s: float, answered_s: float, server_ms: float) -> ClockMeasurement:
        """A sample from the monotonic times of request and response."""
        return cls(server_ms, (asked_s + answered_s) / 2, (answered_s - asked_s) * 500)

    def now_ms(self, now_s: float) -> float:
        """Redis's clock at a monotonic time."""
        return self.server_ms + (now_s - self.at_s) * 1000

    def uncertain_ms(self, now_s: float) -> float:
        """Maximum error of `now_ms`."""
        return self.uncertainty_ms + max(0.0, now_s - self.at_s) * 1000 * DRIFT


def better_measurement(current: ClockMeasurement | None, new: ClockMeasurement) -> ClockMeasurement:
    """The more exact of two samples, or the new one if they contradict each other: then Redis's clock was changed."""
    if current is None:
        return new
    uncertain_ms = current.uncertain_ms(new.at_s)
    if new.uncertainty_ms <= uncertain_ms or new.at_s < current.at_s:
        return new
    differ_ms = abs(current.now_ms(new.at_s) - new.server_ms)
    return new if differ_ms > uncertain_ms + new.uncertainty_ms else current


def is_off(offset_ms: float, uncertain_ms: float, *, was_off: bool) -> bool:
    """Whether a clock that is `offset_ms` ahead of Redis's is not to be trusted; negative if behind.

    An offset within the measurement error is ignored.
    """
    return abs(offset_ms) - uncertain_ms > (CLOCK_RECOVERED_MS if was_off else MAX_CLOCK_OFFSET_MS)

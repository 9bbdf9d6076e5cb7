"""What was decided by one evaluation, for the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.findings import Series, Severity


@dataclass(slots=True)
class VerdictMemory:
    """What was decided before, so that it stays so."""

    faulty: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# topic: (the fault, until when (ms) it explains what is odd)"""
    leaders: dict[str, Series] = field(default_factory=dict)
    """# incident: who tells of it"""
    held: dict[Series, tuple[Series, int]] = field(default_factory=dict)
    """Held back by another rule: (which, until when, ms)."""
    caused: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (what causes it, until when (ms))"""
    last: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who told of it last, until when (ms) that is of any meaning)"""
    lasts: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """# incident: (who tells of it, since when (ms) it has been wrong, by all who told of it)"""
    over: dict[str, tuple[Series, int]] = field(default_factory=dict)
    """The same of incidents that ended in the last evaluation."""
    continues: dict[Series, Series] = field(default_factory=dict)
    """What is told of now in place of what was told of before."""
    told: dict[Series, Severity] = field(default_factory=dict)
    """What is told of now, and how bad it has been at its worst."""

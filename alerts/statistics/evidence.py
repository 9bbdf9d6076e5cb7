"""Evidence of a change: a scan of windows of many lengths, each against the dispersion learned for its length.

Counts Y of the last T seconds are compared with their expectation mu, for T = 1, 2, 4, … 512 s (window-limited scan:
Lai, JRSS B 57, 1995). Windows slide by a quarter of their length.

- **Evidence** is half the signed deviance over the dispersion: (Y log(Y / mu) - (Y - mu)) / phi for phi >= 1
  (quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, chapter 9). For phi < 1, it is half
  the deviance of the binomial of the same mean and variance, with p = 1 - phi: orders are a thinning of checkouts.
- **Dispersion** phi_T is the mean of (Y - mu)^2 / mu over disjoint windows of T seconds, with a half-life of four
  hours, from the side of the change only. It holds what is usual at that time scale: bursts, autocorrelation, smeared
  lags, drift of the level. From 64 s on, it is at least the mean of (Y - Y' mu / mu')^2 / (mu + mu^2 / mu') over
  successive windows (von Neumann, Annals of Mathematical Statistics 12, 1941), which holds rises, too, and does not
  depend on the level: counts above a low reference level say little of falls. Few windows are shrunk towards the value
  of the next shorter T, extrapolated.
- **Estimated level**: from `usual` counts, the variance of Y is larger by the factor 1 + mu / usual.
- **Threshold**: P(evidence >= l) <= exp(-l) for each window by Chernoff's bound, and a day has 86400 / T disjoint
  windows of T seconds; an evidence of log(86400 / T × lengths / false alarms a day) keeps the budget. Sliding windows
  exceed more often, but Chernoff's bound is too high by more (Naus, JASA 77, 1982). This holds where the dispersion of
  the last hours is that of the next, and its tail is not heavier than the model's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, Ints, resized

LENGTHS_S = np.exp2(np.arange(10))
"""# [length]: seconds"""
LENGTHS = len(LENGTHS_S)
DAY_S = 86_400.0
_MARKS = 5
_HALF_LIFE_S = 4 * 3600.0
_PRIOR_WINDOWS = 6.0
_PRIOR_WANDER = 0.02
"""Prior: a level that wanders by this share of itself within the longest window."""
_CUT = 9.0
"""Limit of a window's term, relative to the dispersion."""
_LEAST_DISPERSION = 0.25
_SEEN_WINDOWS = 300.0
"""Windows of a length that was not seen before, after which its own dispersion is trusted."""
_MARGIN_SE = 0.7
"""Standard errors by which the dispersion is taken as larger than estimated; the variance of a term is 5 phi^2, of
one of successive windows 3 phi^2."""
_WANDER_S = 64.0
"""Length from which on windows are compared with the one before: in shorter ones, levels hardly wander."""
_LEAST_EXPECTED = 3.0
"""Windows with fewer expected events say nothing about the dispersion."""
_PARENT_SHARE = 0.5
"""Share of a rule's false alarms that the whole shop gets."""
_LEAST_CHILDREN = 10
"""Minimum assumed number of children of a rule, so that thresholds do not change as children appear."""


def half_deviance(y: Floats, mu: Floats, dispersion: Floats) -> Floats:
    """Half the deviance of counts from their expectation, by the binomial or over-dispersed Poisson of variance
    phi mu; the limit is that of the latter's support."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(y > 0, y * np.log(y / mu), 0.0)
        poisson = (log_ratio - (y - mu)) / np.maximum(dispersion, 1.0)
        trials = mu / np.maximum(1.0 - dispersion, 1e-3)
        failures = np.maximum(trials - y, 0.0)
        usual = np.maximum(trials - mu, 1e-12)
        binomial = log_ratio + np.where(failures > 0, failures * np.log(failures / usual), 0.0)
    result: Floats = np.where(mu > 0, np.where(dispersion < 0.999, binomial, poisson), 0.0)
    return result


@dataclass(slots=True)
class Evidence:
    """The evidence against "no change". Parts are sums that the caller defines: part 0 is counted, part 1 expected."""

    sums: Floats
    """# [series, part]: cumulative"""
    marks: Floats
    """# [series, length, mark, part]: `sums` at the marks"""
    marks_s: Floats = field(default_factory=lambda: np.full((LENGTHS, _MARKS), -np.inf))
    """# [length, mark]: when the marks were set; oldest first, after `next_mark`"""
    from_s: Floats = field(default_factory=lambda: np.zeros(0))
    """# [series]: start of its evidence"""
    spread: Floats = field(default_factory=lambda: np.zeros((0, LENGTHS, 2)))
    """# [series, length, (sum of the terms, number of windows)]: exponential sums"""
    differences: Floats = field(default_factory=lambda: np.zeros((0, LENGTHS, 2)))
    """# [series, length, (sum of the terms, number of pairs)]: the same of successive windows"""
    previous: Floats = field(default_factory=lambda: np.zeros((0, LENGTHS, 2)))
    """# [series, length, (counted, expected)]: the last disjoint window; 0 if unknown"""
    dispersion: Floats = field(default_factory=lambda: np.ones((0, LENGTHS)))
    """# [series, length]: dispersion"""

    @classmethod
    def of(cls, parts: int) -> Evidence:
        """Create empty evidence with this number of parts."""
        return cls(np.zeros((0, parts)), np.zeros((0, LENGTHS, _MARKS, parts)))

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.sums, self.marks = resized(self.sums, size), resized(self.marks, size)
        for name in ("from_s", "spread", "differences", "previous"):
            setattr(self, name, resized(getattr(self, name), size))
        self.dispersion = resized(self.dispersion, size, 1.0)

    def step(self, parts: Floats, *, end_s: float, dt_s: float) -> None:
        """Add the sums of `dt_s` seconds up to `end_s`."""
        start_s = end_s - dt_s
        due = self.marks_s.max(axis=1) <= start_s - LENGTHS_S / (_MARKS - 1) + 1e-9
        for length in np.flatnonzero(due).tolist():
            mark = int(self.marks_s[length].argmin())
            self.marks[:, length, mark] = self.sums
            self.marks_s[length, mark] = start_s
        self.sums += parts

    def window(self, length: int, end_s: float) -> tuple[Floats, float]:
        """(sums, start) of the window of a length index."""
        mark = int(self._first_marks(np.array([length]), end_s)[0])
        return self.sums - self.marks[:, length, mark], float(self.marks_s[length, mark])

    def _first_marks(self, lengths: Ints, end_s: float) -> Ints:
        """For each length index, the latest mark of at least its age, else the oldest."""
        times = self.marks_s[lengths]
        is_old = times <= (end_s - LENGTHS_S[lengths])[:, None]
        latest = np.where(is_old, times, -np.inf).argmax(axis=1)
        oldest = np.where(np.isfinite(times), times, np.inf).argmin(axis=1)
        result: Ints = np.where((is_old & np.isfinite(times)).any(axis=1), latest, oldest)
        return result

    def lengths(self, dt_s: float) -> Ints:
        """The length indexes that differ at steps of this length."""
        found: Ints = np.flatnonzero(dt_s / 2 < LENGTHS_S)
        return found if len(found) else np.array([LENGTHS - 1])

    def learn(self, learnable: Bools, *, level: Floats, rise: bool, end_s: float, dt_s: float) -> None:
        """Learn the dispersion where a disjoint window ends. `level`: counted for each event, at most 1 if thinned."""
        lengths = self.lengths(dt_s)
        for length in lengths.tolist():
            length_s = LENGTHS_S[length]
            if end_s // length_s == (end_s - dt_s) // length_s:
                continue
            sums, start_s = self.window(length, end_s)
            if end_s - start_s < length_s:
                continue
            y, mu = sums[:, 0], sums[:, 1]
            away = np.maximum(y - mu if rise else mu - y, 0.0)
            known = learnable & (mu >= _LEAST_EXPECTED) & (self.from_s <= start_s)
            term = 2 * np.divide(away**2, mu, out=np.zeros_like(mu), where=known)
            keep = 0.5 ** ((end_s - start_s) / _HALF_LIFE_S)
            self._add(self.spread, length, term, known, keep)
            past_y, past_mu = self.previous[:, length].T
            pairs = known & (past_mu > 0)
            size = past_mu * mu * (past_mu + mu)
            difference = np.divide((y * past_mu - past_y * mu) ** 2, size, out=np.zeros_like(mu), where=pairs)
            self._add(self.differences, length, difference, pairs, keep)
            self.previous[:, length] = np.stack((y, mu), axis=1) * known[:, None]
            self._refresh(length, mu, level)
        first = int(lengths[0])
        for length in range(first):
            self.dispersion[:, length] = np.where(
                self._is_new(length, first), np.maximum(self.dispersion[:, first], 1.0), self.dispersion[:, length]
            )

    def _add(self, to: Floats, length: int, term: Floats, known: Bools, keep: float) -> None:
        sums = to[:, length]
        sums *= np.where(known, keep, 1.0)[:, None]
        sums[:, 0] += np.minimum(term, _CUT * self.dispersion[:, length]) * known
        sums[:, 1] += known

    def _refresh(self, length: int, mu: Floats, level: Floats) -> None:
        if length:
            shorter = self.dispersion[:, length - 1]
            prior = np.where(shorter > 1, 2 * shorter - 1, shorter)
        else:
            prior = np.ones(len(mu))
        prior = np.minimum(prior, 1 + _PRIOR_WANDER**2 * np.maximum(mu, 0.0)) + (_PRIOR_WANDER / 2) ** 2 * mu
        prior /= 1 + _MARGIN_SE * np.sqrt(5 / _PRIOR_WINDOWS)
        learned = np.zeros(len(mu))
        estimates = [(self.spread[:, length], 5), (self.differences[:, length], 3)]
        for sums, variance in estimates if LENGTHS_S[length] >= _WANDER_S else estimates[:1]:
            windows = sums[:, 1] + _PRIOR_WINDOWS
            mean = (sums[:, 0] + _PRIOR_WINDOWS * prior) / windows
            learned = np.maximum(learned, mean * (1 + _MARGIN_SE * np.sqrt(variance / windows)))
        learned = np.maximum(learned, np.maximum(_LEAST_DISPERSION, 1 - np.minimum(level, 1.0)))
        if length + 1 < LENGTHS:
            safe = np.maximum(self.dispersion[:, length + 1], 1.0)
            learned = np.where(self._is_new(length, length + 1), np.maximum(learned, safe), learned)
        self.dispersion[:, length] = learned

    def _is_new(self, length: int, longer: int) -> Bools:
        """Whether a length was seen less often than longer ones, in shorter steps than theirs, and not often enough."""
        seen = self.spread[..., 1]
        result: Bools = seen[:, length] < np.minimum(seen[:, longer:].max(axis=1), _SEEN_WINDOWS)
        return result

    def scan(
        self, lengths: Ints, usual: Floats, *, rise: bool, end_s: float, allowance: Floats | float = 0.0
    ) -> tuple[Floats, Floats, Floats]:
        """(evidence of a change in the direction, counted, expected) in the windows of these length indexes.

        Arrays are [series, length]. `allowance`: events that may come at once, by series; they are no evidence.
        """
        marks = self.marks[:, lengths, self._first_marks(lengths, end_s), :2]
        windows = self.sums[:, None, :2] - marks
        y, mu = windows[..., 0], windows[..., 1]
        dispersion = self.dispersion[:, lengths] * (1 + mu / np.maximum(usual, 1.0)[:, None])
        allowed = mu + np.broadcast_to(allowance, len(mu))[:, None]
        is_beyond = y > allowed if rise else y < mu
        return np.where(is_beyond, half_deviance(y, allowed, dispersion), 0.0), y, mu

    def onset(self, which: Ints, *, rise: bool) -> tuple[Floats, Floats]:
        """(start in seconds, sums since) of the change of these series: the window of most evidence."""
        sums = self.sums[which, None, None] - self.marks[which]
        y, mu = sums[..., 0], sums[..., 1]
        known = np.isfinite(self.marks_s) & (self.marks_s >= self.from_s[which][:, None, None])
        is_beyond = (y > mu if rise else y < mu) & known
        scores = np.where(
            is_beyond, half_deviance(y, mu, np.broadcast_to(self.dispersion[which][:, :, None], mu.shape)), -1.0
        ).reshape(len(which), -1)
        best = scores.argmax(axis=1)
        rows = np.arange(len(which))
        chosen = sums.reshape(len(which), -1, sums.shape[-1])[rows, best]
        return self.marks_s.reshape(-1)[best], chosen

    def reset(self, which: Bools, end_s: float) -> None:
        """Start the evidence of series again."""
        self.marks[which] = self.sums[which][:, None, None]
        self.from_s[which] = end_s


def false_alarms_per_day(per_day: float, is_parent: Bools) -> Floats:
    """False alarms a day of each series of a rule that may have `per_day`: # [series]

    The whole shop gets half of the rule's share, because it has most events; the children share the other half evenly.
    """
    children = max(int((~is_parent).sum()), _LEAST_CHILDREN)
    has_children = not bool(is_parent.all())
    of_parent = _PARENT_SHARE if has_children else 1.0
    of_child = (1 - _PARENT_SHARE if is_parent.any() else 1.0) / children
    result: Floats = per_day * np.where(is_parent, of_parent, of_child)
    return result


def log_threshold(false_per_day: Floats, lengths: Ints) -> Floats:
    """The evidence that windows of these length indexes need, by false alarms per day: # [series, length]"""
    result: Floats = np.log(DAY_S / LENGTHS_S[lengths] * LENGTHS / false_per_day[:, None])
    return result

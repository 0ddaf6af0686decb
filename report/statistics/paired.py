"""Methods that met the same splits, compared by the exact Wilcoxon signed-rank test with Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import Interval, seed_intervals

ALPHA = 0.05
POWER = 0.80
# Differences in percentage points that agree to so many digits are tied.
DIGITS = 9


@dataclass(frozen=True)
class Comparison:
    """One method against another, over the splits that both met.

    Attributes:
        pairs: splits that both met.
        difference: mean of the differences, in percentage points; NaN without pairs.
        interval: BCa bootstrap interval of it over seeds, or None (fewer than two pairs, or not asked for).
        p: exact two-sided p of the signed-rank test; 1 where all differences are zero.
        corrected: the same after Holm's correction over its family.
        family: comparisons that were made together.
        detectable: smallest true difference that so many pairs of such spread show with 80 % power at 5 % (paired t
            test, uncorrected); infinite with fewer than two pairs.
    """

    pairs: int
    difference: float
    interval: Interval | None
    p: float
    corrected: float
    family: int
    detectable: float

    @property
    def significant(self) -> bool:
        """Whether the test supports a difference, after correction."""
        return self.corrected <= ALPHA

    @property
    def decidable(self) -> bool:
        """Whether so many pairs could have been significant at all."""
        return can_decide(self.pairs, self.family)


def smallest_p(pairs: int) -> float:
    """Return the smallest p that the test can reach: all differences of one sign."""
    return min(1.0, 2.0 ** (1 - pairs))


def can_decide(pairs: int, family: int = 1) -> bool:
    """Return whether the smallest p that so many pairs can reach would be significant in a family of comparisons."""
    return smallest_p(pairs) * max(family, 1) <= ALPHA


def pairs_needed(family: int = 1) -> int:
    """Return the fewest pairs that can decide in a family of comparisons: 6 for one."""
    return next(pairs for pairs in range(2, 1000) if can_decide(pairs, family))


def signed_rank_p(differences: Float[np.ndarray, "tests n"]) -> Float[np.ndarray, " tests"]:
    """Return the exact two-sided p of Wilcoxon's signed-rank test for every row.

    Zeros are dropped (Wilcoxon's way) and NaN is no pair. Ties share their mean rank, and the distribution is that of
    these very ranks under random signs: exact with ties, too, where scipy.stats.wilcoxon would list all sign patterns
    anew for every test. Distributions are kept, as most rows have the same ranks.
    """
    from scipy.stats import rankdata

    rounded = np.round(differences, DIGITS)
    rounded = np.where(rounded == 0, np.nan, rounded)
    ranks = np.nan_to_num(2 * rankdata(np.abs(rounded), axis=1, nan_policy="omit")).astype(np.int64)
    positive = np.where(rounded > 0, ranks, 0).sum(axis=1)
    smaller = np.minimum(positive, ranks.sum(axis=1) - positive)
    found = np.ones(len(ranks))
    for row, (mine, statistic) in enumerate(zip(np.sort(ranks, axis=1), smaller, strict=True)):
        found[row] = min(1.0, 2.0 * float(_distribution(tuple(mine[mine > 0].tolist()))[statistic]))
    return found


@lru_cache(maxsize=4096)
def _distribution(doubled_ranks: tuple[int, ...]) -> np.ndarray:
    """Return P(sum of the ranks that drew a plus <= w) for every w, ranks doubled so that mean ranks are whole."""
    chances = np.zeros(sum(doubled_ranks) + 1)
    chances[0] = 1.0
    for rank in doubled_ranks:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: len(chances) - rank]
        chances = (chances + shifted) / 2
    return chances.cumsum()


def holm(p: Sequence[float] | Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Return p values after Holm's correction (Holm 1979): step down, times the comparisons that are left.

    As statsmodels' `multipletests`, which collects garbage at every call: a tenth of a second for every column.
    """
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw, kind="stable")
    left = np.arange(len(raw), 0, -1)
    corrected = np.empty(len(raw))
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * left), 1.0)
    return corrected


def compare(
    values: Float[np.ndarray, " n"], others: Float[np.ndarray, "m n"], intervals: bool = True
) -> list[Comparison]:
    """Compare a method with others over the same splits; the comparisons are one family.

    Args:
        values: accuracy of the method per split, in percent; NaN where it has no run.
        others: accuracies of the others on the same splits.
        intervals: whether the intervals of the differences are needed, which take most of the time.
    """
    differences = values[None] - others
    raw = signed_rank_p(differences)
    corrected = holm(raw)
    spans = seed_intervals(differences) if intervals else [None] * len(differences)
    return [
        _comparison(found[~np.isnan(found)], span, float(p), float(adjusted), len(differences))
        for found, span, p, adjusted in zip(differences, spans, raw, corrected, strict=True)
    ]


def _comparison(
    differences: Float[np.ndarray, " n"], interval: Interval | None, p: float, corrected: float, family: int
) -> Comparison:
    n = len(differences)
    mean = float(differences.mean()) if n else float("nan")
    detectable = detectable_effect(n) * float(differences.std(ddof=1)) if n > 1 else float("inf")
    return Comparison(n, mean, interval, p, corrected, family, detectable)


@lru_cache(maxsize=256)
def detectable_effect(pairs: int) -> float:
    """Return the smallest true mean difference, in standard deviations of the differences, found with 80 % power.

    For a paired t test at 5 %, two-sided; the signed-rank test needs about as much where it can decide at all.
    """
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().solve_power(nobs=pairs, alpha=ALPHA, power=POWER, alternative="two-sided"))


@dataclass(frozen=True)
class Highest:
    """The highest of several means, and whether it stands out.

    Attributes:
        place: where it is among the values.
        mean: itself, over these splits.
        pairs: the splits that all of them met.
        against: it against every other that competes, by place.
    """

    place: int
    mean: float
    pairs: int
    against: dict[int, Comparison]

    @property
    def supported(self) -> bool:
        """Whether the test supports it against all others: only then it is the best."""
        return all(found.significant for found in self.against.values())

    @property
    def decidable(self) -> bool:
        """Whether so many pairs could have supported it at all."""
        return all(found.decidable for found in self.against.values())

    @property
    def tied(self) -> list[int]:
        """Places of those that the test does not tell from it."""
        return [place for place, found in self.against.items() if not found.significant]


def highest(values: Float[np.ndarray, "m n"], intervals: bool = False) -> Highest | None:
    """Find the highest mean and compare it with every other; None where fewer than two compete.

    A row that lacks a split which another row met does not compete: that split may be an easy or a hard one.

    Args:
        values: accuracy per method and split; NaN where a run is missing.
        intervals: whether the intervals of the differences are needed.
    """
    present = ~np.isnan(values)
    met = present.any(axis=0)
    competing = np.flatnonzero(present[:, met].all(axis=1) & met.any())
    if len(competing) < 2:
        return None
    means = values[competing][:, met].mean(axis=1)
    best = int(means.argmax())
    others = np.delete(competing, best)
    found = compare(values[competing[best]], values[others], intervals)
    against = dict(zip(others.tolist(), found, strict=True))
    return Highest(int(competing[best]), float(means[best]), int(met.sum()), against)

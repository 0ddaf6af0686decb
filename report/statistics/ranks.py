"""Ranks of methods over scenes and shots: Friedman's test and Nemenyi's critical difference (Demsar 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import SEED
from report.statistics.paired import ALPHA

# Fewer blocks or methods than these say nothing: the test would be of one order, or of two methods.
LEAST_BLOCKS, LEAST_METHODS = 2, 3
SHUFFLES = 9999


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of k methods over N blocks.

    Attributes:
        average: (k,) mean rank of every method; 1 is best, ties share.
        blocks: N.
        p: of Friedman's statistic under permutations within blocks, that all methods rank alike; right for few blocks.
        p_iman_davenport: of the F test that Demsar prefers to the chi-squared one, for many blocks; 0 where all blocks
            rank alike, however few they are.
        critical_difference: least difference of two mean ranks that is significant at 5 %.
    """

    average: Float[np.ndarray, " k"]
    blocks: int
    p: float
    p_iman_davenport: float
    critical_difference: float

    def nemenyi(self, first: int, second: int) -> float:
        """Return the p value of Nemenyi's test of a pair: 5 % where it differs by the critical difference."""
        from scipy.stats import studentized_range

        methods = len(self.average)
        apart = abs(self.average[first] - self.average[second]) / _standard_error(methods, self.blocks)
        return float(studentized_range.sf(apart * np.sqrt(2), methods, np.inf))

    @property
    def significant(self) -> bool:
        """Whether the methods differ at all; only then pairs may be told apart."""
        return self.p <= ALPHA

    def cliques(self) -> list[tuple[int, ...]]:
        """Return the largest groups within which no two differ by the critical difference, best rank first."""
        order = np.argsort(self.average, kind="stable")
        found: list[tuple[int, ...]] = []
        for start in range(len(order)):
            within = self.average[order] <= self.average[order[start]] + self.critical_difference
            group = tuple(int(place) for place in order[start:][within[start:]])
            if len(group) > 1 and not (found and set(group) <= set(found[-1])):
                found.append(group)
        return found


def ranks_over(scores: Float[np.ndarray, "N k"]) -> Ranks | None:
    """Rank methods in every block (higher is better) and test; None with fewer than two blocks or three methods.

    Args:
        scores: mean accuracy per block (a scene at a number of shots) and method, without gaps.
    """
    from scipy.stats import f, friedmanchisquare, rankdata

    blocks, methods = scores.shape
    if blocks < LEAST_BLOCKS or methods < LEAST_METHODS:
        return None
    ranks = rankdata(-scores, axis=1)
    average = ranks.mean(axis=0)
    chi2 = 0.0 if np.ptp(scores, axis=1).max() == 0 else float(friedmanchisquare(*scores.T).statistic)
    degrees, rest = methods - 1, blocks * (methods - 1) - chi2
    # All blocks in the same order leave nothing for the denominator.
    p_f = 0.0 if rest <= 1e-12 else float(f.sf((blocks - 1) * chi2 / rest, degrees, degrees * (blocks - 1)))
    return Ranks(average, blocks, _permutation_p(ranks), p_f, critical_difference(methods, blocks))


def _permutation_p(ranks: Float[np.ndarray, "N k"]) -> float:
    """Return how often ranks that are shuffled within blocks spread as far as these, these included.

    The spread of the mean ranks orders shuffled ranks as Friedman's statistic does, whose other terms stay as they are.
    """
    shuffled = np.random.default_rng(SEED).permuted(np.broadcast_to(ranks, (SHUFFLES, *ranks.shape)), axis=2)
    spread = np.concatenate([[ranks], shuffled]).sum(axis=1).var(axis=1)
    return float((spread >= spread[0] * (1 - 1e-9)).mean())


def critical_difference(methods: int, blocks: int) -> float:
    """Return q sqrt(k (k + 1) / 6 N), q being the studentised range of k means at 5 % divided by sqrt 2."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - ALPHA, methods, np.inf)) / np.sqrt(2)
    return q * _standard_error(methods, blocks)


def _standard_error(methods: int, blocks: int) -> float:
    return float(np.sqrt(methods * (methods + 1) / (6 * blocks)))

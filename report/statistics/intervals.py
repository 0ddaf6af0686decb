"""Intervals of a mean: over seeds (and the splits they draw), and over the test pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

LEVEL = 0.95
RESAMPLES = 4999
SEED = 20241
# Resamples at a time: enough to be fast, few enough for hundreds of cells to fit into memory.
BATCH = 500
# Percentages nearer than this are the same number.
SAME = 1e-9


@dataclass(frozen=True)
class Interval:
    """A 95 % interval.

    Attributes:
        low, high: its ends, in the unit of the values.
        over: what would be drawn again: the seeds with their splits, or the test pixels with the fits as they are.
    """

    low: float
    high: float
    over: Literal["seeds", "test pixels"]

    def holds(self, value: float) -> bool:
        """Return whether a value lies within."""
        return self.low <= value <= self.high


def seed_interval(values: Sequence[float] | Float[np.ndarray, " n"]) -> Interval | None:
    """Return the interval of the mean of one cell's seeds; see `seed_intervals`."""
    return seed_intervals(np.asarray(values, dtype=float)[None])[0]


def seed_intervals(values: Float[np.ndarray, "cells n"]) -> list[Interval | None]:
    """Return the BCa bootstrap interval (Efron 1987) of the mean of every row; NaN stands for a run that is missing.

    None with fewer than two runs. Runs that agree exactly give an interval without width: they show no spread. No
    resampled mean leaves the range of the runs, so few of them cover less than they say: see `coverage_limit`.
    """
    found: list[Interval | None] = [None] * len(values)
    present = ~np.isnan(values)
    for n in np.unique(present.sum(axis=1)):
        rows = np.flatnonzero(present.sum(axis=1) == n)
        if n < 2:
            continue
        block = values[rows][present[rows]].reshape(len(rows), n)
        spread = np.ptp(block, axis=1) > SAME
        for row, mean in zip(rows[~spread], block[~spread].mean(axis=1), strict=True):
            found[row] = Interval(float(mean), float(mean), "seeds")
        if spread.any():
            for row, low, high in zip(rows[spread], *_bca(block[spread]), strict=True):
                found[row] = Interval(float(low), float(high), "seeds")
    return found


def _bca(values: Float[np.ndarray, "cells n"]) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (values,),
        np.mean,
        axis=-1,
        method="BCa",
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        batch=BATCH,
        rng=np.random.default_rng(SEED),
    )
    return drawn.confidence_interval.low, drawn.confidence_interval.high


def coverage_limit(n: int) -> float:
    """Return the most that an interval within the range of n runs can cover: 1 - 2^(1 - n), for a symmetric spread.

    All n runs fall on one side of the true mean with probability 2^(1 - n). From six runs on, 95 % can be reached.
    """
    return 1.0 - 2.0 ** (1 - n)


def pixel_errors(confusion: Int[np.ndarray, "K K"]) -> tuple[float, float, float]:
    """Return the standard errors of OA, AA and kappa over the test pixels, in percentage points.

    OA: binomial. AA: its classes' binomial errors, independent of one another. Kappa: Fleiss, Cohen and Everitt 1969.
    The pixels count as independent; neighbours are not, so that the true errors are larger.

    Args:
        confusion: truth by row, prediction by column; every class has test pixels.
    """
    counts = confusion.sum(axis=1)
    total = counts.sum()
    share = confusion / total
    right = np.diag(share)
    # Shares that sum to 1 may do so with an error in the last digit.
    oa = min(right.sum(), 1.0)
    recall = np.diag(confusion) / counts
    aa = np.sqrt((recall * (1 - recall) / counts).sum()) / len(counts)
    return (
        100 * float(np.sqrt(oa * (1 - oa) / total)),
        100 * float(aa),
        100 * _kappa_error(share, float(oa)) / float(np.sqrt(total)),
    )


def _kappa_error(share: Float[np.ndarray, "K K"], agreement: float) -> float:
    truth, predicted = share.sum(axis=1), share.sum(axis=0)
    chance = float(truth @ predicted)
    if chance >= 1.0:
        return 0.0
    rest = (1.0 - agreement) / (1.0 - chance)  # 1 - kappa
    right = np.diag(share)
    marginals = predicted[:, None] + truth[None, :]
    diagonal = (right * (1.0 - np.diag(marginals) * rest) ** 2).sum()
    off = (share * marginals**2).sum() - (right * np.diag(marginals) ** 2).sum()
    variance = diagonal + rest**2 * off - (1.0 - rest - chance * rest) ** 2
    return float(np.sqrt(max(variance, 0.0))) / (1.0 - chance)


def pixel_interval(values: Sequence[float], errors: Sequence[float]) -> Interval | None:
    """Return the interval of a mean over the test pixels, given the fits: mean ± 1.96 standard errors, within 100.

    Seeds of one scene are tested on nearly the same pixels, so the error of their mean is taken to be the mean of their
    errors, as if they shared all. None where every error is zero: a fit that is right everywhere tells no error.
    """
    kept = [(value, error) for value, error in zip(values, errors, strict=True) if not np.isnan(value + error)]
    if not kept:
        return None
    mean, error = np.mean(kept, axis=0)
    if error == 0.0:
        return None
    half = 1.959964 * float(error)
    return Interval(max(float(mean) - half, -100.0), min(float(mean) + half, 100.0), "test pixels")

"""Several scenes in one number: interquartile mean and probability of improvement (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import LEVEL, SEED, Interval

RESAMPLES = 1999
Scores = Sequence[Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval by a bootstrap that draws the seeds of every block anew.

    Attributes:
        value: the number.
        interval: None where no block has two runs.
    """

    value: float
    interval: Interval | None


def interquartile_mean(scores: Scores) -> Estimate:
    """Return the mean of the middle half of all runs of all blocks.

    Less swayed by one easy or one hopeless scene than the mean, and less wasteful than the median.

    Args:
        scores: per block (a scene at a number of shots) the accuracies of its runs, in percent.
    """
    return _estimated(scores, _interquartile_mean)


def _interquartile_mean(*blocks: np.ndarray, axis: int = -1) -> np.ndarray:
    from scipy.stats import trim_mean

    return trim_mean(np.concatenate(blocks, axis=axis), 0.25, axis=axis)


def probability_of_improvement(scores: Scores, others: Scores) -> Estimate:
    """Return how likely a run of one method beats a run of the other, averaged over blocks; a tie counts half.

    Args:
        scores: per block the accuracies of the method's runs.
        others: those of the other method, block by block.
    """
    count = len(scores)

    def improvement(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        chances = [
            ((mine[..., :, None] > theirs[..., None, :]) + 0.5 * (mine[..., :, None] == theirs[..., None, :])).mean(
                axis=(-2, -1)
            )
            for mine, theirs in zip(samples[:count], samples[count:], strict=True)
        ]
        return np.mean(chances, axis=0)

    return _estimated([*scores, *others], improvement)


def _estimated(samples: Scores, statistic: Callable[..., np.ndarray]) -> Estimate:
    from scipy.stats import bootstrap

    value = float(statistic(*samples))
    if min(len(sample) for sample in samples) < 2:
        return Estimate(value, None)
    drawn = bootstrap(
        samples,
        statistic,
        axis=-1,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    low, high = drawn.confidence_interval
    return Estimate(value, Interval(float(low), float(high), "seeds"))

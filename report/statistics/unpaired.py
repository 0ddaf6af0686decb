"""Differences between runs that met different splits."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import LEVEL, Interval


def welch(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"]) -> tuple[float, Interval | None]:
    """Return the difference of two means and Welch's 95 % interval of it; NaN stands for a run that is missing.

    NaN without runs on either side; no interval with fewer than two runs on either side, or without any spread.
    """
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not len(first) or not len(second):
        return float("nan"), None
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2 or first.std() + second.std() == 0:
        return difference, None
    from scipy.stats import ttest_ind

    span = ttest_ind(first, second, equal_var=False).confidence_interval(LEVEL)
    return difference, Interval(float(span.low), float(span.high), "seeds")

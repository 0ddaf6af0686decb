"""Mean, spread and interval of a few seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import Interval, pixel_interval, seed_intervals


@dataclass(frozen=True)
class Summary:
    """What the runs of a cell say together.

    Attributes:
        mean: over the runs that went well, or None without any.
        std: sample standard deviation (ddof = 1), or None with fewer than two runs.
        n: runs that went well.
        expected: runs that the study asks for.
        seeds: 95 % interval of the mean over seeds, where it was asked for and can be given.
        pixels: the same over test pixels.
    """

    mean: float | None
    std: float | None
    n: int
    expected: int
    seeds: Interval | None = None
    pixels: Interval | None = None

    @property
    def complete(self) -> bool:
        """Whether all runs went well."""
        return self.n >= self.expected


def summarise(values: Iterable[float], expected: int) -> Summary:
    """Return mean and sample standard deviation of the values that are numbers."""
    array = np.asarray([value for value in values if not math.isnan(value)], dtype=float)
    return Summary(
        mean=float(array.mean()) if len(array) else None,
        std=float(array.std(ddof=1)) if len(array) > 1 else None,
        n=len(array),
        expected=expected,
    )


def summarise_all(
    values: Float[np.ndarray, "cells n"], expected: int, errors: Float[np.ndarray, "cells n"] | None = None
) -> list[Summary]:
    """Summarise many cells with their intervals over seeds and, with standard errors over test pixels, over these."""
    spans = seed_intervals(values)
    found = []
    for place, row in enumerate(values):
        pixels = None if errors is None else pixel_interval(row, errors[place])
        found.append(replace(summarise(row, expected), seeds=spans[place], pixels=pixels))
    return found

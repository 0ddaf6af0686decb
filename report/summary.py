"""What a few runs say together: mean, spread and interval of accuracies; median and span of costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import Interval, pixel_interval, seed_intervals


class _Counted:
    n: int
    expected: int

    @property
    def complete(self) -> bool:
        """Whether all runs went well."""
        return self.n >= self.expected


@dataclass(frozen=True)
class Summary(_Counted):
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
    def centre(self) -> float | None:
        """The number that stands for all runs."""
        return self.mean

    def spread(self, decimals: int) -> str:
        """Return "± 1.23", or "" where it is not known."""
        return "" if self.std is None else f"± {self.std:.{decimals}f}"

    @property
    def numbers(self) -> dict[str, float | None]:
        """What the CSV file of a table holds."""
        return {"mean": self.mean, "std": self.std, "n": self.n}


@dataclass(frozen=True)
class Typical(_Counted):
    """What the runs of a cell cost: one of them may pay for what the others find made, so a mean would mislead.

    Attributes:
        median, least, most: of the runs that went well, or None without any.
        n: runs that went well.
        expected: runs that the study asks for.
    """

    median: float | None
    least: float | None
    most: float | None
    n: int
    expected: int

    @property
    def centre(self) -> float | None:
        """The number that stands for all runs."""
        return self.median

    def spread(self, decimals: int) -> str:
        """Return "(1.23–4.56)", or "" where all are printed alike."""
        if self.least is None:
            return ""
        least, most = (f"{value:.{decimals}f}" for value in (self.least, self.most))
        return "" if least == most else f"({least}–{most})"

    @property
    def numbers(self) -> dict[str, float | None]:
        """What the CSV file of a table holds."""
        return {"median": self.median, "least": self.least, "most": self.most, "n": self.n}


def _present(values: Iterable[float]) -> Float[np.ndarray, " n"]:
    return np.asarray([value for value in values if not math.isnan(value)], dtype=float)


def summarise(values: Iterable[float], expected: int) -> Summary:
    """Return mean and sample standard deviation of the values that are numbers."""
    array = _present(values)
    return Summary(
        mean=float(array.mean()) if len(array) else None,
        std=float(array.std(ddof=1)) if len(array) > 1 else None,
        n=len(array),
        expected=expected,
    )


def typical(values: Iterable[float], expected: int) -> Typical:
    """Return median and span of the values that are numbers."""
    array = _present(values)
    if not len(array):
        return Typical(None, None, None, 0, expected)
    return Typical(float(np.median(array)), float(array.min()), float(array.max()), len(array), expected)


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

"""Intervals over seeds and over test pixels against known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from statsmodels.stats.inter_rater import cohens_kappa

from report.statistics.intervals import (
    Interval,
    coverage_limit,
    pixel_errors,
    pixel_interval,
    seed_interval,
    seed_intervals,
)


def test_the_interval_over_seeds_is_bca_and_nearly_the_normal_one_for_many_runs() -> None:
    values = np.random.default_rng(1).normal(80, 2, 200)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    found = seed_interval(values)
    assert found is not None
    assert found.over == "seeds"
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_a_skewed_sample_gets_the_skewed_interval_of_scipy() -> None:
    values = np.array([90.0, 91.0, 90.5, 91.5, 90.2, 70.0])
    found = seed_interval(values)
    known = bootstrap((values,), np.mean, method="BCa", n_resamples=20000, rng=np.random.default_rng(5))
    assert found is not None
    assert found.low == pytest.approx(known.confidence_interval.low, abs=0.5)
    assert found.high == pytest.approx(known.confidence_interval.high, abs=0.1)
    assert values.mean() - found.low > 1.5 * (found.high - values.mean())


def test_a_cell_has_the_same_interval_alone_and_among_others_with_gaps() -> None:
    rows = np.array([[80.0, 81.0, 84.0, 79.0], [90.0, np.nan, 92.0, 95.0], [np.nan, 70.0, np.nan, np.nan], [5.0] * 4])
    together = seed_intervals(rows)
    assert together[0] == seed_interval([80.0, 81.0, 84.0, 79.0])
    assert together[1] == seed_interval([90.0, 92.0, 95.0])
    assert together[2] is None
    assert together[3] == Interval(5.0, 5.0, "seeds")


def test_few_runs_cannot_cover_95_percent() -> None:
    assert [coverage_limit(n) for n in (2, 3, 5)] == [0.5, 0.75, 0.9375]
    assert coverage_limit(5) < 0.95 < coverage_limit(6)


def test_errors_over_pixels_are_those_of_a_bootstrap_of_the_pixels() -> None:
    confusion = np.array([[80, 15, 5], [10, 30, 0], [2, 8, 50]])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(200, confusion.ravel() / 200, 20000).reshape(-1, 3, 3)
    right = np.trace(drawn, axis1=1, axis2=2) / 200
    chance = (drawn.sum(axis=1) * drawn.sum(axis=2)).sum(axis=1) / 200**2
    oa, aa, kappa = pixel_errors(confusion)
    assert oa == pytest.approx(100 * right.std(), rel=0.03)
    assert kappa == pytest.approx(100 * ((right - chance) / (1 - chance)).std(), rel=0.03)
    recall = np.array([0.8, 0.75, 50 / 60])
    assert aa == pytest.approx(100 * np.sqrt((recall * (1 - recall) / [100, 40, 60]).sum()) / 3)


def test_the_error_of_kappa_is_that_of_statsmodels() -> None:
    confusion = np.random.default_rng(3).integers(1, 40, (5, 5))
    assert pixel_errors(confusion)[2] == pytest.approx(100 * cohens_kappa(confusion).std_kappa, rel=1e-12)


def test_the_interval_over_pixels_does_not_shrink_with_the_seeds_that_share_them() -> None:
    one, three = pixel_interval([80.0], [0.5]), pixel_interval([79.0, 80.0, 81.0], [0.5] * 3)
    assert one == three
    assert one is not None
    assert (one.low, one.high, one.over) == (pytest.approx(79.02), pytest.approx(80.98), "test pixels")
    assert pixel_interval([100.0], [0.0]) is None
    assert pixel_interval([np.nan], [np.nan]) is None

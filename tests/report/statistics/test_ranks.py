"""Ranks over scenes against the worked example of Demsar 2006, tables 6 and 5."""

from __future__ import annotations

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare

from report.statistics.aggregate import interquartile_mean, probability_of_improvement
from report.statistics.ranks import Ranks, critical_difference, ranks_over

# AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_mean_ranks_critical_difference_and_groups_are_demsars() -> None:
    found = ranks_over(DEMSAR)
    assert found is not None
    assert found.average == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=0.04)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    # Of the chi-squared test, which is nearly right for so many blocks.
    assert found.p == pytest.approx(friedmanchisquare(*DEMSAR.T).pvalue, abs=0.004)
    assert found.significant
    # No pair differs by more than 1.25 - but for the best and the worst, by 1.179, neither: one group.
    assert found.cliques() == [(3, 1, 2, 0)]


def test_the_f_statistic_is_iman_and_davenports() -> None:
    # Three methods in four blocks, ranks (1, 2, 3) three times and (2, 1, 3) once: chi2 = 6.5, F = 13.
    scores = -np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [2, 1, 3]], dtype=float)
    found = ranks_over(scores)
    assert found is not None
    assert found.average.tolist() == [1.25, 1.75, 3.0]
    # sf of F(2, 6) at 13 is (1 + 2 * 13 / 6) ** -3.
    assert found.p_iman_davenport == pytest.approx((1 + 13 / 3) ** -3)


def test_the_critical_values_are_those_of_the_table() -> None:
    # q at 5 %: 2.343 for 3, 2.728 for 5, 3.164 for 10 methods.
    for methods, q in ((3, 2.343), (5, 2.728), (10, 3.164)):
        assert critical_difference(methods, 6) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 36), abs=0.002)


def test_pairs_have_the_p_values_of_another_package() -> None:
    found = ranks_over(DEMSAR)
    assert found is not None
    p = [[found.nemenyi(first, second) for second in range(4)] for first in range(4)]
    assert p == pytest.approx(posthoc_nemenyi_friedman(DEMSAR).to_numpy(), abs=1e-6)
    assert found.nemenyi(0, 3) > 0.05


def test_a_pair_as_far_apart_as_the_critical_difference_has_a_p_value_of_5_percent() -> None:
    average = np.array([1.0, 1.0 + critical_difference(3, 9), 3.0])
    found = Ranks(average, 9, 0.0, 0.0, critical_difference(3, 9))
    assert found.nemenyi(0, 1) == pytest.approx(0.05, abs=1e-6)


def test_groups_are_those_within_the_critical_difference() -> None:
    scores = np.tile(np.arange(5, dtype=float), (12, 1))
    found = ranks_over(scores)
    assert found is not None
    assert 1 < found.critical_difference < 2
    assert found.cliques() == [(4, 3), (3, 2), (2, 1), (1, 0)]
    assert found.p_iman_davenport == 0.0


def test_two_blocks_that_agree_prove_nothing() -> None:
    found = ranks_over(np.tile([1.0, 2.0, 3.0], (2, 1)))
    assert found is not None
    # One of the 3! orders of the second block is that of the first.
    assert found.p == pytest.approx(1 / 6, abs=0.015)
    assert not found.significant


def test_one_block_or_two_methods_are_not_ranked() -> None:
    assert ranks_over(DEMSAR[:1]) is None
    assert ranks_over(DEMSAR[:, :2]) is None
    tied = ranks_over(np.ones((3, 3)))
    assert tied is not None
    assert tied.p == 1.0
    assert not tied.significant


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    found = interquartile_mean([np.array([10.0, 80.0, 81.0, 82.0]), np.array([83.0, 84.0, 85.0, 100.0])])
    assert found.value == pytest.approx(np.mean([81.0, 82.0, 83.0, 84.0]))
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high


def test_the_probability_of_improvement_counts_pairs_of_runs_block_by_block() -> None:
    ahead, level = np.array([2.0, 3.0]), np.array([1.0, 2.0])
    # First block: (2 > 1, 2 = 2, 3 > 1, 3 > 2) = 3.5 of 4; second: none of 4.
    found = probability_of_improvement([ahead, level - 5], [level, ahead])
    assert found.value == pytest.approx((3.5 / 4 + 0) / 2)
    certain = probability_of_improvement([np.array([2.0])], [np.array([1.0])])
    assert (certain.value, certain.interval) == (1.0, None)

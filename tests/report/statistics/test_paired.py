"""Paired comparisons against scipy's tests and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import PermutationMethod, ttest_1samp, wilcoxon
from statsmodels.stats.multitest import multipletests

from report.statistics.paired import (
    can_decide,
    compare,
    detectable_effect,
    highest,
    holm,
    pairs_needed,
    signed_rank_p,
    smallest_p,
)


def test_p_values_are_scipys_exact_ones() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, (50, 9))
    assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences, axis=1, method="exact").pvalue)


@pytest.mark.parametrize("row", [[1, 1, 2, -1, 3, 3, 0, 0], [2, 2, 2, 2, 2], [-1, 1, 1, 4, 4, 4, -4]])
def test_p_values_are_exact_with_ties_and_zeros(row: list[int]) -> None:
    known = wilcoxon(row, method=PermutationMethod(n_resamples=np.inf)).pvalue
    assert signed_rank_p(np.array([row], dtype=float)) == pytest.approx([known])


def test_missing_pairs_are_left_out_and_no_difference_is_no_evidence() -> None:
    rows = np.array([[1.0, np.nan, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0], [np.nan] * 4])
    assert signed_rank_p(rows).tolist() == [0.25, 1.0, 1.0]


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).random((20, 7)) ** 3
    for row in p:
        assert holm(row) == pytest.approx(multipletests(row, method="holm")[1])
    assert holm([]).tolist() == []


def test_holm_is_the_step_down_of_a_worked_example() -> None:
    # 0.005 * 4, max(0.02, 0.01 * 3), max(0.03, 0.03 * 2), max(0.06, 0.04 * 1)
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_few_seeds_cannot_decide() -> None:
    assert [smallest_p(n) for n in (3, 5, 6)] == [0.25, 0.0625, 0.03125]
    assert (can_decide(5), can_decide(6), can_decide(6, family=2)) == (False, True, False)
    assert (pairs_needed(), pairs_needed(family=10)) == (6, 9)


def test_the_detectable_effect_has_the_power_that_it_claims() -> None:
    n = 8
    effect = detectable_effect(n)
    samples = np.random.default_rng(0).normal(effect, 1, (20000, n))
    assert (ttest_1samp(samples, 0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.80, abs=0.01)


def test_a_comparison_tells_difference_interval_pairs_and_what_it_could_have_shown() -> None:
    base = np.array([80.0, 82.0, 79.0, 85.0, 81.0, 80.0, np.nan])
    others = np.stack([base - [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], np.full(7, np.nan)])
    near, none = compare(base, others)
    assert (near.pairs, near.difference, near.p, near.corrected) == (6, pytest.approx(3.5), 0.03125, 0.0625)
    assert near.interval is not None
    assert 2.0 < near.interval.low < 3.5 < near.interval.high < 5.0
    assert near.detectable == pytest.approx(detectable_effect(6) * np.std([1, 2, 3, 4, 5, 6], ddof=1))
    assert not near.significant
    assert not near.decidable
    assert (none.pairs, none.interval, none.p, none.detectable) == (0, None, 1.0, float("inf"))


def test_the_highest_mean_is_supported_only_if_it_beats_every_other() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(80, 3, 10)
    clear = np.stack([base - 5 - rng.random(10), base, base - 2 - rng.random(10)])
    found = highest(clear)
    assert found is not None
    assert (found.place, found.supported, found.tied, found.decidable) == (1, True, [], True)
    close = highest(np.vstack([clear, base - np.where(np.arange(10) % 2, 1, -0.9)]))
    assert close is not None
    assert (close.place, close.supported, close.tied) == (1, False, [3])


def test_incomplete_rows_do_not_compete_and_one_row_has_no_rival() -> None:
    values = np.array([[70.0, 71.0, 72.0], [90.0, np.nan, 91.0], [75.0, 74.0, 73.0]])
    found = highest(values)
    assert found is not None
    assert (found.place, list(found.against)) == (2, [0])
    assert highest(values[:2]) is None
    assert highest(np.full((2, 3), np.nan)) is None


def test_rows_that_lack_different_splits_do_not_compete_and_a_split_that_nobody_met_counts_for_none() -> None:
    values = np.array([[70.0, 71.0, np.nan], [90.0, np.nan, 91.0], [np.nan, 74.0, 73.0]])
    assert highest(values) is None
    found = highest(np.array([[70.0, 71.0, np.nan], [90.0, 91.0, np.nan]]))
    assert found is not None
    assert (found.place, found.mean, found.pairs, found.against[0].pairs) == (1, 90.5, 2, 2)

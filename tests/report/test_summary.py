"""Means, deviations, intervals, and which of them is best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from report.summary import summarise, summarise_all
from report.tables.marks import mark_notes, marks


def runs(*offsets: float, n: int = 8) -> np.ndarray:
    """Return accuracies over n splits: rows that lie apart by the offsets, split by split."""
    rng = np.random.default_rng(0)
    splits = rng.normal(80, 3, n)
    return np.stack([splits + offset * (1 + 0.1 * rng.random(n)) for offset in offsets])


def test_the_deviation_is_that_of_a_sample() -> None:
    found = summarise([1.0, 2.0, 6.0, math.nan], expected=4)
    assert (found.mean, found.n, found.expected, found.complete) == (3.0, 3, 4, False)
    assert found.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_one_run_has_no_deviation() -> None:
    found = summarise([4.0], expected=1)
    assert (found.mean, found.std, found.complete) == (4.0, None, True)


def test_best_is_bold_where_the_test_supports_it_against_all_others() -> None:
    shown, found = marks(runs(-2, 0, -3), [True] * 3)
    assert shown == ("", "best", "")
    (bold, detectable) = mark_notes([found], "per column")
    assert "supported against every other" in bold
    assert "over 8 paired splits, Holm-corrected, 5%" in bold
    assert "could have shown" in detectable


def test_a_tie_is_shown_as_a_tie() -> None:
    values = runs(-2, 0, -5)
    values[0] = values[1] + np.array([-1, 1, -1, 0.8, -1, 0.9, -1, 1])
    shown, found = marks(values, [True] * 3)
    assert shown == ("tied", "highest", "")
    assert any("≈: not told from it, a tie" in note for note in mark_notes([found], "per column"))


def test_few_seeds_say_that_they_cannot_decide() -> None:
    shown, found = marks(runs(-20, 0, -30, n=3), [True] * 3)
    assert shown == ("tied", "highest", "tied")
    notes = mark_notes([found], "per column", controls=False)
    assert any("3 pairs cannot decide: the smallest p that they can reach is 0.25" in note for note in notes)
    assert any("7 pairs or more could" in note for note in notes)


def test_controls_are_never_best() -> None:
    shown, found = marks(runs(-2, 0, 15), [True, True, False])
    assert shown == ("", "best", "")
    assert found is not None
    assert list(found.against) == [0]


def test_means_that_are_printed_alike_stand_alike() -> None:
    values = np.array([[80.0, 81.0, 82.0], [80.001, 81.0, 82.0], [70.0, 71.0, 72.0]])
    assert marks(values, [True] * 3)[0] == ("highest", "highest", "tied")


def test_a_mean_over_fewer_runs_does_not_compete() -> None:
    values = runs(-5, 0, 10)
    values[2, 3] = np.nan
    assert marks(values, [True] * 3)[0] == ("", "best", "")


def test_nothing_is_best_without_a_rival() -> None:
    assert marks(runs(0, 20), [True, False]) == (("", ""), None)
    assert marks(np.stack([np.full(3, 70.0), np.full(3, np.nan)]), [True, True])[0] == ("", "")
    assert mark_notes([None], "per column") == []


def test_cells_carry_both_intervals_by_name() -> None:
    cells = summarise_all(np.array([[80.0, 82.0, 87.0], [70.0, math.nan, math.nan]]), 3, np.array([[1.0] * 3] * 2))
    whole, single = cells
    assert whole.seeds is not None
    assert whole.pixels is not None
    assert (whole.seeds.over, whole.pixels.over) == ("seeds", "test pixels")
    assert 80 < whole.seeds.low < 83 < whole.seeds.high <= 87
    assert (whole.pixels.low, whole.pixels.high) == pytest.approx((83 - 1.96, 83 + 1.96), abs=1e-3)
    assert single.seeds is None
    assert (single.mean, single.n) == (70.0, 1)

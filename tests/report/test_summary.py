"""Means, deviations, intervals, and which of them is best."""

from __future__ import annotations

import math

import pytest

from report.summary import Summary, summarise, t_halfwidth
from report.tables.table import marks


def whole(*means: float | None, n: int = 3) -> list[Summary]:
    return [Summary(mean, 1.0, 0 if mean is None else n, 3) for mean in means]


def test_the_deviation_is_that_of_a_sample() -> None:
    found = summarise([1.0, 2.0, 6.0, math.nan], expected=4)
    assert (found.mean, found.n, found.expected, found.complete) == (3.0, 3, 4, False)
    assert found.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_one_run_has_no_deviation_and_no_interval() -> None:
    found = summarise([4.0], expected=1)
    assert (found.mean, found.std, found.complete) == (4.0, None, True)
    assert t_halfwidth(found) == 0.0


def test_the_interval_is_students() -> None:
    # t(0.975, 2 degrees of freedom) = 4.302653
    assert t_halfwidth(Summary(50.0, 3.0, 3, 3)) == pytest.approx(4.302653 * 3 / math.sqrt(3), rel=1e-6)


def test_controls_are_never_best() -> None:
    assert marks(whole(70, 80, 100), [True, True, False]) == ["second", "best", ""]


def test_ties_as_printed_share_the_first_place_and_leave_no_second() -> None:
    assert marks(whole(80.001, 80.004, 79.0), [True] * 3) == ["best", "best", ""]


def test_ties_share_the_second_place() -> None:
    assert marks(whole(79.0, 90.0, 79.0, 60.0), [True] * 4) == ["second", "best", "second", ""]


def test_a_mean_over_fewer_runs_does_not_compete() -> None:
    cells = [*whole(70, 75), *whole(90, n=2)]
    assert marks(cells, [True] * 3) == ["second", "best", ""]


def test_nothing_is_best_without_a_rival() -> None:
    assert marks(whole(70, 100), [True, False]) == ["", ""]
    assert marks(whole(70, None), [True, True]) == ["", ""]

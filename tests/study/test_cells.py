"""A cell's place in the study's folder tells it apart from all others."""

from __future__ import annotations

import itertools

import pytest

from diffclip.study.cells import Cell


@pytest.mark.parametrize(
    ("cell", "point"),
    [
        (Cell("a", "paper", "svm", "emp", 2), "shots-2"),
        (Cell("a", "paper", "svm", "emp", 10, 11), "shots-10_window-11"),
        (Cell("a", "paper", "svm", "emp", 10, 11, 0.7), "shots-10_window-11_mask-0.7"),
        (Cell("a", "paper", "svm", "emp", 10, 11, 0.0), "shots-10_window-11_mask-0"),
    ],
)
def test_the_point_names_the_axes_that_the_method_turns(cell, point):
    assert cell.point == point
    assert cell.record(3) == f"records/a/paper/svm/emp/{point}/seed-3.json"


def test_every_cell_and_seed_has_a_record_of_its_own():
    axes = (["a", "b"], ["paper", "strict"], ["svm", "diffclip"], ["one", "two"], [1, 10], [None, 1, 11], [None, 0.1])
    cells = [Cell(*values) for values in itertools.product(*axes)]
    records = {cell.record(seed) for cell in cells for seed in (0, 1)}
    assert len(records) == 2 * len(cells)


def test_equal_cells_are_one_key():
    assert len({Cell("a", "paper", "svm", "emp", 2, 5), Cell("a", "paper", "svm", "emp", 2, 5)}) == 1

"""What methods cost, in tables and in the figure."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from report.__main__ import main
from report.figures.cost import Point, cost_figure, frontier, mark_seconds
from report.frame import entries, read_runs, view
from report.study import read_study
from report.summary import Summary


def test_the_front_of_cost_joins_methods_that_none_beats_in_both(study_folder: Path) -> None:
    study = read_study(study_folder)
    runs = read_runs(study)
    svm, diffclip = entries(runs, study.main.rows[:2], runs)

    def point(oa: float, seconds: float, entry: Any = svm) -> Point:
        return Point(entry, Summary(oa, None, 1, 1), {"training": seconds})

    points = [point(70, 1), point(90, 5, diffclip), point(60, 2), point(90, 9), point(80, 1)]
    assert [(p.oa.mean, p.seconds["training"]) for p in frontier(points, "training")] == [(80, 1), (90, 5)]
    figure = cost_figure(view(study, runs, "toy", "paper"))
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert all("log axis" in axes.get_xlabel() for axes in figure.axes)


def test_a_run_that_pays_for_the_others_does_not_move_what_a_method_costs(fake: Callable[..., Any]) -> None:
    study = fake(sweeps={}, failing=())
    folder = study.write()
    path = folder / "records/toy/paper/svm/default/shots-10/seed-0.json"
    record = json.loads(path.read_text())
    record["cost"].update(fit_seconds=100.0)
    path.write_text(json.dumps(record))
    assert main(["runs", "--study", str(folder)]) == main(["tables", "--study", str(folder)]) == 0
    row = next(row for row in csv.DictReader((folder / "tables/toy_paper_cost.csv").open()) if row["method"] == "svm")
    assert (row["fit_s_median"], row["fit_s_least"], row["fit_s_most"]) == ("1.5", "1.5", "100.0")
    assert "| 1.50 (1.50–100.00) |" in (folder / "tables/toy_paper_cost.md").read_text()
    assert r"1.50\,{\tiny(1.50--100.00)}" in (folder / "tables/toy_paper_cost.tex").read_text()
    assert "1.50 <small>(1.50–100.00)</small>" in (folder / "tables/toy_paper_cost.html").read_text()
    finished = read_study(folder)
    figure = cost_figure(view(finished, read_runs(finished), "toy", "paper"))
    assert {1.5} == {x for line in figure.axes[0].lines for x in line.get_xdata()}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((6.6, 7.1), ["6.6", "6.8", "7"]),
        ((13, 720), ["30", "100", "300"]),
        ((0.003, 130), ["0.01", "0.1", "1", "10", "100"]),
        ((1e-5, 5e4), ["1e-05", "0.001", "0.1", "10", "1,000", "100,000"]),
        ((1.5, 1.5 + 1e-15), ["1.4", "1.5", "1.6"]),
    ],
)
def test_numbers_on_the_axes_of_cost_are_few_and_apart(seconds: tuple[float, float], expected: list[str]) -> None:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.plot(seconds, (1, 1))
    mark_seconds(axes)
    figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels(which="both")] == expected
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))

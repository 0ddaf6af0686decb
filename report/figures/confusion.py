"""Confusion matrices of a few methods at the most shots, summed over seeds, each row in percent of its true class."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from report.captions import missing, seeds_text, shots_text
from report.figures.few import few, left_out
from report.frame import Entry, View, at, class_names, of_entry
from report.stored import read_record
from report.style import LETTER, PAGE, POINT, empty_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "Confusion"
MOST = 4
NUMBER_SIZE, TITLE_SIZE = 7.0, 7.5
LEGIBLE = 0.17  # least side of a cell that holds a number, in inches
DARK = 55  # percent from which numbers are written in white


def confusion_figure(view: View) -> Figure:
    """Return the figure: a matrix per method, for DiffCLIP's best variants and the best of the others."""
    shots = view.grid.shots[-1]
    here = view.at_shots(shots)
    what = f"{WHAT} at {shots_text(shots)}"
    good = here.runs[here.runs["status"] == "ok"]
    shown = few(here, good, MOST)
    if not shown:
        return empty_figure(view, what, missing(here, here.rivals))
    names = class_names(good)
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    labels = [f"{name}  {place}" for place, name in enumerate(names, start=1)]
    margin = (max(map(len, labels)) * NUMBER_SIZE * LETTER + 14) * POINT
    titles = [f"{entry.name}, mean OA {at(of_entry(good, entry), 'oa', 1).mean:.1f}\u00a0%" for entry in shown]
    heading = max(map(len, titles)) * TITLE_SIZE * LETTER * POINT
    side = min((PAGE - margin) / columns - 0.2, max(0.4 * len(names), heading), 3.0)
    legible = side / len(names) >= LEGIBLE
    note = (
        f"Percent of the pixels of each true class (row), summed over {seeds_text(view.study.seeds)}"
        f"{'; numbers below 0.5 are left out' if legible else ''}."
    )
    incomplete = _incomplete(view, good, shown)
    figure = new_figure(
        view,
        what,
        margin + columns * (side + 0.2),
        rows * (side + 0.33) + (0.4 if legible else 0.9),
        [note, left_out(here.rivals, shown), incomplete],
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(shown):
            axes.axis("off")
            continue
        matrix = summed(view, of_entry(good, shown[place]), names)
        _draw(axes, matrix, legible)
        axes.set_title(textwrap.fill(titles[place], int(side / (TITLE_SIZE * LETTER * POINT)) + 1))
        _label(axes, labels, first=place % columns == 0, last=place + columns >= len(shown))
    if not legible:
        figure.colorbar(
            grid[0, 0].images[0], ax=grid, label="% of true class", location="bottom", shrink=0.5, aspect=40
        )
    return figure


def _incomplete(view: View, good: pd.DataFrame, shown: Sequence[Entry]) -> str:
    expected = len(view.study.seeds)
    counts = {entry.name: len(of_entry(good, entry)) for entry in shown}
    parts = [f"{name} {n} of {expected}" for name, n in counts.items() if n < expected]
    return f"Runs that there are: {'; '.join(parts)}." if parts else ""


def summed(view: View, runs: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return the (K, K) sum of confusion matrices; a class that a run left out counts nothing there."""
    total = np.zeros((len(names), len(names)), dtype=np.int64)
    place = {name: number for number, name in enumerate(names)}
    for path in runs["path"]:
        record = read_record(view.study.folder, path)
        places = [place[name] for name in record["class_names"]]
        total[np.ix_(places, places)] += np.asarray(record["confusion"])
    return total


def _draw(axes: Axes, matrix: np.ndarray, legible: bool) -> None:
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    if not legible:
        return
    # Numbers lie inside the cells: nothing has to make room for them, and asking each for its size takes a while.
    inside: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": NUMBER_SIZE, "in_layout": False}
    for (row, column), value in np.ndenumerate(percent):
        if value >= 0.5:
            axes.text(column, row, f"{value:.0f}", color="white" if value >= DARK else "#202020", **inside)


def _label(axes: Axes, labels: Sequence[str], first: bool, last: bool) -> None:
    places = range(len(labels))
    axes.set_xticks(places, labels=[str(place + 1) for place in places])
    axes.set_yticks(places, labels=labels if first else [str(place + 1) for place in places])
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(True)
    if last:
        axes.set_xlabel("predicted class")

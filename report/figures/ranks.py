"""Mean ranks of methods over scenes and shots with the critical difference (Demsar 2006), one method a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from report.blocks import Blocks, blocks_of, not_ranked
from report.captions import seeds_text
from report.statistics.paired import ALPHA
from report.statistics.ranks import Ranks, ranks_over
from report.study import Study
from report.style import COLOURS, GREY, PAGE, overview_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME_SIZE = 7.0
ROW, ABOVE = 0.17, 0.95
SCALE = -1.2  # row of the critical difference, above the first method
# Ranks between two bars of groups, at most, so that a row of many bars stays narrow.
APART = 0.35


def ranks_figure(study: Study, runs: pd.DataFrame, protocol: str) -> Figure:
    """Return the figure: a dot per method, best rank first, and a bar beside all that are not told apart."""
    found = blocks_of(study, runs, protocol)
    ranks = ranks_over(found.runs.mean(axis=2)) if found.entries else None
    title = f"Mean ranks over scenes and shots: {protocol} protocol"
    if ranks is None:
        figure = overview_figure(title, PAGE, 1.2, [])
        figure.text(0.5, 0.4, not_ranked(found), ha="center", va="center", color=GREY)
        return figure
    order = np.argsort(ranks.average, kind="stable")
    figure = overview_figure(title, PAGE, ABOVE + ROW * len(order), _notes(study, found, ranks))
    axes = figure.add_subplot()
    names = [found.entries[place].name for place in order]
    _dots(axes, names, ranks.average[order])
    cliques = ranks.cliques() if ranks.significant else [tuple(order.tolist())]
    rows = {int(place): row for row, place in enumerate(order)}
    _bars(axes, [sorted(rows[place] for place in group) for group in cliques], ranks.average[order])
    _scale(axes, ranks.critical_difference)
    return figure


def _dots(axes: Axes, names: Sequence[str], average: np.ndarray) -> None:
    rows = range(len(names))
    axes.hlines(rows, 1, average, color="#d9d9d9", linewidth=0.8, zorder=1)
    axes.plot(average, rows, color=COLOURS[0], marker="o", linestyle="", zorder=3)
    for row, rank in zip(rows, average, strict=True):
        axes.annotate(
            f"{rank:.1f}", (rank, row), (5, 0), textcoords="offset points", va="center", fontsize=NAME_SIZE - 0.5
        )
    axes.set_yticks(rows, labels=names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, SCALE - 1.5)
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.set_xlabel("mean rank (1 = best)")


def _bars(axes: Axes, groups: Sequence[Sequence[int]], average: np.ndarray) -> None:
    """Draw a bar beside the dots of every group, each in the first lane that it does not share."""
    step = min(APART, 0.03 * len(average))
    ends: list[int] = []
    right = float(average.max()) + 0.075 * len(average) + step
    for group in groups:
        lane = next((lane for lane, end in enumerate(ends) if end < group[0]), len(ends))
        ends[lane : lane + 1] = [group[-1]]
        at = right + lane * step
        axes.plot([at, at], [group[0] - 0.25, group[-1] + 0.25], color="#202020", linewidth=2.2, solid_capstyle="butt")
    axes.set_xlim(0.9, right + max(len(ends), 1) * step)


def _scale(axes: Axes, difference: float) -> None:
    """Draw the critical difference as a length on the axis of ranks, above the first method."""
    ends: dict[str, Any] = {"marker": "|", "markersize": 5, "color": GREY, "linewidth": 1.5}
    axes.plot([1.0, 1.0 + difference], [SCALE, SCALE], **ends)
    said = f"critical difference {difference:.2f}"
    axes.text(1.0 + difference / 2, SCALE - 0.35, said, ha="center", va="bottom", fontsize=NAME_SIZE, color=GREY)


def _notes(study: Study, found: Blocks, ranks: Ranks) -> list[str]:
    told = (
        "Bars join methods that Nemenyi's test does not tell apart"
        if ranks.significant
        else "Friedman's test does not tell the methods apart, so that one bar joins all"
    )
    left = f" Left out, as runs are missing: {', '.join(found.left_out)}." if found.left_out else ""
    return [
        f"Ranks by mean OA over {seeds_text(study.seeds)} in {ranks.blocks} blocks, each a scene at a number of "
        f"shots: {', '.join(found.names)}. Friedman's test by permutation: "
        f"p = {ranks.p:.2g}. {told} (level {ALPHA:.0%}). Blocks of one scene share its pixels, so that "
        f"p is smaller than it should be.{left}"
    ]

"""Accuracy against shots for many methods: a panel per method, all others in grey behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from report.frame import View
from report.style import COLOURS, GREY, LETTER, PAGE, POINT, mark_shots, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from report.figures.shots import Curve

COLUMNS, HEIGHT, TITLE_SIZE = 6, 0.95, 7.0
OTHERS, STEP = "#c9c9c9", 20


def multiples_figure(
    view: View, what: str, curves: Sequence[Curve], chance: Sequence[Curve], notes: Sequence[str]
) -> Figure:
    """Return the figure; panels share both axes and stand in the order of the config."""
    rows = -(-len(curves) // COLUMNS)
    letters = int((PAGE / COLUMNS - 0.1) / (TITLE_SIZE * LETTER * POINT))
    titles = [textwrap.fill(curve.name, letters) for curve in curves]
    tall = (1 + max(title.count("\n") for title in titles)) * TITLE_SIZE * 1.25 * POINT
    dashed = "; dashed: chance (random labels)" if chance else ""
    said = f"Every panel: OA of one method against labelled pixels per class (shots), all others in grey{dashed}."
    figure = new_figure(view, what, PAGE, rows * (HEIGHT + tall) + 0.35, [said, *notes])
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    # Before anything is drawn, else every line looks for new limits of all panels.
    first = panels[0, 0]
    mark_shots(first, view.grid.shots, (PAGE - 0.5) / COLUMNS - 0.1)
    first.set_ylim(0, 100)
    first.set_yticks(range(0, 101, STEP))
    for place, axes in enumerate(panels.flat):
        if place >= len(curves):
            axes.set_visible(False)
            continue
        _draw(axes, curves, place, chance)
        axes.set_title(titles[place], fontsize=TITLE_SIZE, pad=3)
        # The lowest panel of each column has the axis, also where the last row is not full. Ticks of all panels would
        # take more time than all lines.
        axes.xaxis.set_visible(place + COLUMNS >= len(curves))
        axes.yaxis.set_visible(place % COLUMNS == 0)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("shots")
        axes.set_ylabel("OA (%)")
    return figure


def _draw(axes: Axes, curves: Sequence[Curve], place: int, chance: Sequence[Curve]) -> None:
    from matplotlib import rcParams
    from matplotlib.collections import LineCollection

    # One collection instead of a line each: with many methods, drawing takes a multiple of that otherwise.
    others = [[(s, other.mean(s)) for s in sorted(other.points)] for other in curves if other is not curves[place]]
    axes.add_collection(LineCollection(others, colors=OTHERS, linewidths=0.4, zorder=1), autolim=False)
    for curve in chance:
        shots = sorted(curve.points)
        axes.plot(
            shots, [curve.mean(s) for s in shots], color=GREY, linestyle=curve.look.dashes, linewidth=0.7, zorder=2
        )
    shown = curves[place]
    shots = sorted(shown.points)
    low, high = zip(*map(shown.interval, shots), strict=True)
    axes.fill_between(shots, low, high, color=COLOURS[0], alpha=0.3, linewidth=0, zorder=3)
    axes.plot(
        shots, [shown.mean(s) for s in shots], color=COLOURS[0], marker="o", markersize=2.5, linewidth=1, zorder=4
    )
    levels: dict[str, Any] = {"colors": rcParams["grid.color"], "linewidths": 0.4, "zorder": 0.5}
    axes.hlines(range(0, 101, STEP), 0, 1, transform=axes.get_yaxis_transform(), **levels)

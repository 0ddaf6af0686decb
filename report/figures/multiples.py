"""Accuracy against shots for many methods: a panel per method, a line per variant, all others in grey behind them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from report.frame import View
from report.style import GREY, LEGEND_ROW, LETTER, PAGE, POINT, Look, legend_columns, look, mark_shots, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from report.figures.shots import Curve

# A panel's height in inches at so many columns; fewer are wider and higher.
COLUMNS, HEIGHT, TITLE_SIZE = 6, 0.95, 7.0
# Inches above and below the legend, and points of a sample of a line with the space around it.
LEGEND_AROUND, SAMPLE = 0.12, 43.2
OTHERS, STEP = "#c9c9c9", 20
# More variants than these, and each gets a panel of its own.
MOST_TOGETHER = 4
ALONE = Look("#000000", "o", "-")


@dataclass(frozen=True)
class Panel:
    """A method with a few variants, or one variant of a method with many.

    Attributes:
        title: the method's; with the variant where it is the only one shown.
        curves: at least one.
    """

    title: str
    curves: list[Curve]

    @property
    def several(self) -> bool:
        """Whether lines differ in looks, which the legend explains."""
        return len(self.curves) > 1


def panels_of(curves: Sequence[Curve]) -> list[Panel]:
    """Return the panels, in the order of the config."""
    methods: dict[str, list[Curve]] = {}
    for curve in curves:
        methods.setdefault(curve.entry.row[0], []).append(curve)
    found = []
    for together in methods.values():
        if 1 < len(together) <= MOST_TOGETHER:
            found.append(Panel(together[0].entry.title, together))
        else:
            found += [Panel(curve.entry.name, [curve]) for curve in together]
    return found


def multiples_figure(
    view: View, what: str, curves: Sequence[Curve], chance: Sequence[Curve], notes: Sequence[str]
) -> Figure:
    """Return the figure; panels share both axes. A variant looks the same in all panels."""
    panels = panels_of(curves)
    variants = dict.fromkeys(c.entry.row[1] for panel in panels if panel.several for c in panel.curves)
    looks = {variant: look(place) for place, variant in enumerate(variants)}
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    letters = int((PAGE / columns - 0.1) / (TITLE_SIZE * LETTER * POINT))
    titles = [textwrap.fill(panel.title, letters) for panel in panels]
    tall = (1 + max(title.count("\n") for title in titles)) * TITLE_SIZE * 1.25 * POINT
    beside = legend_columns(list(looks), PAGE, SAMPLE) if looks else 1
    below = LEGEND_AROUND + math.ceil(len(looks) / beside) * LEGEND_ROW if looks else 0.0
    height = rows * (HEIGHT * (COLUMNS / columns) ** 0.5 + tall) + 0.35 + below
    figure = new_figure(view, what, PAGE, height, [_said(bool(looks), bool(chance)), *notes])
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    # Before anything is drawn, else every line looks for new limits of all panels.
    first = grid[0, 0]
    mark_shots(first, view.grid.shots, (PAGE - 0.5) / columns - 0.1)
    first.set_ylim(0, 100)
    first.set_yticks(range(0, 101, STEP))
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_visible(False)
            continue
        _draw(axes, panels[place], looks, [curve for curve in curves if curve not in panels[place].curves], chance)
        axes.set_title(titles[place], fontsize=TITLE_SIZE, pad=3)
        # The lowest panel of each column has the axis, also where the last row is not full. Ticks of all panels would
        # take more time than all lines.
        axes.xaxis.set_visible(place + columns >= len(panels))
        axes.yaxis.set_visible(place % columns == 0)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("shots")
        axes.set_ylabel("OA (%)")
    if looks:
        _legend(figure, looks, beside, below)
    return figure


def _said(several: bool, chance: bool) -> str:
    lines = "a line per variant (black where it is the only one)" if several else "in black"
    dashed = "; dashed: chance (random labels)" if chance else ""
    return f"Every panel: OA of one method against labelled pixels per class (shots), {lines}; others in grey{dashed}."


def _draw(
    axes: Axes, panel: Panel, looks: Mapping[str, Look], others: Sequence[Curve], chance: Sequence[Curve]
) -> None:
    from matplotlib import rcParams
    from matplotlib.collections import LineCollection

    # One collection instead of a line each: with many methods, drawing takes a multiple of that otherwise.
    behind = [list(zip(other.shots, other.means, strict=True)) for other in others]
    axes.add_collection(LineCollection(behind, colors=OTHERS, linewidths=0.4, zorder=1), autolim=False)
    for curve in chance:
        axes.plot(curve.shots, curve.means, color=GREY, linestyle=curve.look.dashes, linewidth=0.7, zorder=2)
    for shown in panel.curves:
        style = looks[shown.entry.row[1]] if panel.several else ALONE
        band: dict[str, Any] = {"alpha": 0.25 / len(panel.curves) ** 0.5, "linewidth": 0, "zorder": 3}
        axes.fill_between(shown.shots, *shown.band, color=style.colour, **band)
        line: dict[str, Any] = {"color": style.colour, "linestyle": style.dashes, "marker": style.marker}
        axes.plot(shown.shots, shown.means, markersize=2.5, linewidth=1, zorder=4, **line)
    levels: dict[str, Any] = {"colors": rcParams["grid.color"], "linewidths": 0.4, "zorder": 0.5}
    axes.hlines(range(0, 101, STEP), 0, 1, transform=axes.get_yaxis_transform(), **levels)


def _legend(figure: Figure, looks: Mapping[str, Look], columns: int, below: float) -> None:
    """Put the legend between the panels and the notes, into `below` inches that the layout gives up for it."""
    from matplotlib.lines import Line2D

    lines: list[dict[str, Any]] = [
        {"color": style.colour, "linestyle": style.dashes, "marker": style.marker} for style in looks.values()
    ]
    handles = [Line2D([], [], linewidth=1, markersize=3, **line) for line in lines]
    layout: Any = figure.get_layout_engine()
    left, low, width, height = layout.get()["rect"]
    strip = below / figure.get_figheight()
    layout.set(rect=(left, low + strip, width, height - strip))
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, low)}
    figure.legend(handles, list(looks), ncols=columns, handlelength=3, **place)

"""A sweep over windows and mask ratios: accuracy against each axis that varies, one line per value of the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from report.captions import missing, seeds_text, shots_text
from report.frame import View, at, of_entry
from report.style import PAGE, empty_figure, look, new_figure
from report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_LABELS = {"mask_ratio": "mask ratio", "window": "window (pixels)"}
PANEL_HEIGHT = 2.0
ASIDE = 0.012  # share of the axis, from one line's bars to the next
# More lines than these hide each other's bars: then only the study's own value has them.
MOST_BARS = 3
SCALE = "viridis"


@dataclass(frozen=True)
class Curve:
    """A line of a panel; `place` decides its look, the same value having the same look in every panel.

    Attributes:
        name: in the legend.
        place: among the lines.
        points: (value of the axis, summary).
        own: whether it is the line of the study's own value, or of the nearest to it.
    """

    name: str
    place: int
    points: tuple[tuple[float, Summary], ...]
    own: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel: accuracy against an axis."""

    title: str
    axis: str
    legend: str
    curves: tuple[Curve, ...]


def sweep_figure(view: View, name: str) -> Figure:
    """Return the figure: a row of panels per method and shots where both axes vary, else a panel per shots."""
    what = f"Sweep {name}"
    lacking = missing(view, view.entries)
    if not (view.runs["status"] == "ok").any():
        return empty_figure(view, what, lacking)
    values = {axis: view.grid.axes[axis] for axis in AXIS_LABELS}
    varying = [axis for axis, found in values.items() if len(found) > 1] or ["mask_ratio"]
    panels = list(_panels(view, varying))
    spread = f"bars: sample standard deviation over {seeds_text(view.study.seeds)}"
    single = f"one run each ({seeds_text(view.study.seeds)}), no deviation"
    fixed = [f"{AXIS_LABELS[axis].split(' (')[0]} {found[0]:g}" for axis, found in values.items() if len(found) == 1]
    kept = f" Kept: {', '.join(fixed)}." if fixed else ""
    note = f"Points: mean OA; {spread if len(view.study.seeds) > 1 else single}.{kept}"
    if any(_crowded(panel) for panel in panels):
        note += " Of many lines, only that of the study's own value, or the nearest to it, is thick and has bars."
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width = PAGE if columns == 2 else PAGE * 0.7
    figure = new_figure(view, what, width, rows * PANEL_HEIGHT, [note, lacking])
    found = figure.subplots(rows, columns, squeeze=False)
    limits = _limits(panels)
    for axes, panel in itertools.zip_longest(found.flat, panels):
        # A method may lack one of the axes; its place in the row stays empty.
        if panel is None or not panel.curves:
            axes.axis("off")
        else:
            _draw(axes, panel, limits)
    _legends(found.flat, panels)
    return figure


def _panels(view: View, varying: Sequence[str]) -> Iterator[Panel]:
    """Yield panels row by row."""
    if len(varying) == 2:
        for entry, shots in itertools.product(view.rivals, view.grid.shots):
            runs = of_entry(view.at_shots(shots).runs, entry)
            title = entry.name if len(view.grid.shots) == 1 else f"{entry.name}, {shots_text(shots)}"
            for axis, other in (varying, varying[::-1]):
                yield Panel(title, axis, AXIS_LABELS[other], tuple(_against(view, runs, axis, other)))
        return
    axis = varying[0]
    for shots in view.grid.shots:
        runs = view.at_shots(shots).runs
        curves = tuple(
            Curve(entry.name, place, points)
            for place, entry in enumerate(view.rivals)
            if (points := _points(view, of_entry(runs, entry), axis))
        )
        yield Panel(shots_text(shots), axis, "", curves)


def _against(view: View, runs: pd.DataFrame, axis: str, other: str) -> Iterator[Curve]:
    """Yield a line per value of the other axis; methods that lack that one have a single line."""
    values = view.grid.axes[other]
    if runs[other].isna().all():
        points = _points(view, runs, axis)
        if points:
            yield Curve("", 0, points)
        return
    own = view.study.window if other == "window" else view.study.mask_ratio
    nearest = min(values, key=lambda value: abs(value - own))
    for place, value in enumerate(values):
        points = _points(view, runs[runs[other] == value], axis)
        if points:
            yield Curve(f"{value:g}", place, points, value == nearest)


def _points(view: View, runs: pd.DataFrame, axis: str) -> tuple[tuple[float, Summary], ...]:
    found = ((value, at(runs[runs[axis] == value], "oa", len(view.study.seeds))) for value in view.grid.axes[axis])
    return tuple((float(value), summary) for value, summary in found if summary.mean is not None)


def _limits(panels: Sequence[Panel]) -> tuple[int, int]:
    """Return limits of the accuracy axis that hold every bar, at least ten points apart."""
    ends = [
        float(summary.mean or 0.0) + sign * (summary.std or 0.0)
        for panel in panels
        for curve in panel.curves
        for _, summary in curve.points
        for sign in (-1, 1)
    ]
    low, high = 5 * math.floor(min(ends) / 5), min(101, 5 * math.ceil(max(ends) / 5))
    return max(0, min(low, high - 10)), high


def _crowded(panel: Panel) -> bool:
    """Return whether a panel has so many values of one axis that their order shall be seen as a scale of colours."""
    return bool(panel.legend) and len(panel.curves) > MOST_BARS


def _shade(number: int, count: int) -> str:
    """Return a colour of the scale, without its lightest part, which white paper swallows."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps[SCALE](0.85 * number / max(count - 1, 1)))


def _draw(axes: Axes, panel: Panel, limits: tuple[int, int]) -> None:
    ticks = sorted({x for curve in panel.curves for x, _ in curve.points})
    crowded = _crowded(panel)
    # Bars of one value of x stand side by side.
    aside = 0.0 if crowded else ASIDE * (ticks[-1] - ticks[0])
    for number, curve in enumerate(panel.curves):
        style = look(curve.place)
        shift = aside * (number - (len(panel.curves) - 1) / 2)
        axes.errorbar(
            [x + shift for x, _ in curve.points],
            [float(summary.mean or 0.0) for _, summary in curve.points],
            yerr=None if crowded and not curve.own else [summary.std or 0.0 for _, summary in curve.points],
            color=_shade(number, len(panel.curves)) if crowded else style.colour,
            marker=style.marker,
            markersize=4.5 if curve.own or not crowded else 3,
            linestyle=style.dashes if not crowded else "-",
            linewidth=1.8 if crowded and curve.own else 0.8 if crowded else 1.3,
            elinewidth=0.8,
            capsize=1.5,
            label=curve.name,
            zorder=3 if curve.own else 2,
        )
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xlabel(AXIS_LABELS[panel.axis])
    axes.set_ylim(*limits)
    axes.set_ylabel("OA (%)" if limits[0] == 0 else f"OA (%), axis from {limits[0]}")
    axes.set_title(panel.title)
    axes.grid(axis="y")


def _legends(found: Iterable[Axes], panels: Sequence[Panel]) -> None:
    """Put a legend beside every panel, or beside the last alone where all have the same lines."""
    named = [(axes, panel) for axes, panel in zip(found, panels, strict=False) if any(c.name for c in panel.curves)]
    if len({(panel.axis, *((curve.name, curve.place) for curve in panel.curves)) for _, panel in named}) == 1:
        named = named[-1:]
    for axes, panel in named:
        axes.legend(title=panel.legend or None, loc="center left", bbox_to_anchor=(1.0, 0.5), alignment="left")

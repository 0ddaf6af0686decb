"""Accuracy against cost: seconds to train and to predict at the most shots, a point per method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from report.captions import missing, seeds_text, shots_text
from report.figures.few import few
from report.figures.shots import accuracy_label, accuracy_start
from report.frame import Entry, View, of_entry
from report.style import GREY, MARKERS, PAGE, Look, empty_figure, looks, new_figure
from report.summary import Summary, summarise_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.0
# As many names as there are markers; other methods are grey dots.
MOST_NAMED = len(MARKERS)
AXES = {
    "training": "seconds to train,\nwith stage 1 (log axis)",
    "predicting": "seconds to predict\nall test pixels (log axis)",
}
FEWEST_TICKS, MOST_TICKS = 3, 6
OTHERS = Look("#a6a6a6", ".", "")


@dataclass(frozen=True)
class Point:
    """A method: accuracy, and its median seconds by phase."""

    entry: Entry
    oa: Summary
    seconds: dict[str, float]

    @property
    def accuracy(self) -> float:
        """Mean OA in percent."""
        return float(self.oa.mean or 0.0)


def cost_figure(view: View) -> Figure:
    """Return the figure: a panel per phase, with a line through the methods that none beats in both."""
    shots = view.grid.shots[-1]
    view = view.at_shots(shots)
    what = f"Accuracy against cost at {shots_text(shots)}"
    points = _points(view)
    if not points:
        return empty_figure(view, what, missing(view, view.rivals))
    fronts = {phase: frontier(points, phase) for phase in AXES}
    named = _named(view, points, fronts)
    styles = looks(named)
    notes = _notes(view, len(points), len(named))
    figure = new_figure(view, what, PAGE, HEIGHT, [*notes, missing(view, view.rivals)])
    panels = figure.subplots(1, len(AXES), sharey=True)
    start = accuracy_start([point.accuracy for point in points])
    for axes, (phase, label) in zip(panels, AXES.items(), strict=True):
        _draw(axes, points, phase, fronts[phase], styles)
        axes.set_xlabel(label)
    panels[0].set_ylim(start, 101)
    panels[0].set_ylabel(accuracy_label(start))
    _legend(panels[-1], named, styles, len(points) > len(named))
    return figure


def _points(view: View) -> list[Point]:
    seeds = len(view.study.seeds)
    summaries = summarise_all(view.scores("oa").reshape(-1, seeds), seeds)
    by_row = {entry.row: summary for entry, summary in zip(view.entries, summaries, strict=True)}
    found = []
    for entry in view.rivals:
        runs = of_entry(view.good, entry)
        if runs["fit_seconds"].isna().all():  # no run, or a program outside of the suite, which is not measured
            continue
        training = (runs["fit_seconds"] + runs["pretrain_seconds"].fillna(0.0)).median()
        seconds = {"training": float(training), "predicting": float(runs["predict_seconds"].median())}
        found.append(Point(entry, by_row[entry.row], seconds))
    return found


def frontier(points: Sequence[Point], phase: str) -> list[Point]:
    """Return the methods than which none is both faster and more accurate, fastest first."""
    best, found = -np.inf, []
    for point in sorted(points, key=lambda point: (point.seconds[phase], -point.accuracy)):
        if point.accuracy > best:
            best = point.accuracy
            found.append(point)
    return found


def _named(view: View, points: Sequence[Point], fronts: dict[str, list[Point]]) -> list[Entry]:
    """Return the methods that are named: all where they are few, else the fronts, DiffCLIP's best, the best others."""
    if len(points) <= MOST_NAMED:
        return [point.entry for point in points]
    wanted = [point.entry for front in fronts.values() for point in front[::-1]]
    best = [few(view, view.good, most) for most in (MOST_NAMED // 2, MOST_NAMED)]
    kept = list(dict.fromkeys([*best[0], *wanted, *best[1]]))[:MOST_NAMED]
    return [entry for entry in view.rivals if entry in kept]


def _notes(view: View, count: int, named: int) -> list[str]:
    devices = sorted(set(view.good["device_name"]) - {""})
    several = " Seconds of different devices cannot be compared." if len(devices) > 1 else ""
    left = f" Named: {named} of {count} methods." if named < count else ""
    return [
        f"Points: mean OA, median seconds over {seeds_text(view.study.seeds)}, without features of the scene that one "
        f"run made for all; bars: 95 % BCa bootstrap interval of OA over seeds. Line: methods than which none is both "
        f"faster and more accurate.{left} Device: {', '.join(devices) or 'not known'}.{several}"
    ]


def _draw(
    axes: Axes, points: Sequence[Point], phase: str, front: Sequence[Point], styles: dict[tuple[str, str], Look]
) -> None:
    axes.set_xscale("log")
    steps: dict[str, Any] = {"where": "post", "color": GREY, "linewidth": 0.8, "zorder": 1}
    axes.step([point.seconds[phase] for point in front], [point.accuracy for point in front], **steps)
    for point in points:
        style = styles.get(point.entry.row, OTHERS)
        drawn: dict[str, Any] = {"color": style.colour, "marker": style.marker, "linestyle": ""}
        axes.plot(point.seconds[phase], point.accuracy, zorder=2 + (point.entry.row in styles), **drawn)
    spans = [(point, point.oa.seeds) for point in points if point.oa.seeds is not None]
    # All bars at once: one by one they take longer than all else here.
    axes.vlines(
        [point.seconds[phase] for point, _ in spans],
        [span.low for _, span in spans],
        [span.high for _, span in spans],
        colors=[styles.get(point.entry.row, OTHERS).colour for point, _ in spans],
        linewidths=0.6,
        zorder=1.5,
    )
    axes.grid(axis="both")
    mark_seconds(axes)


def mark_seconds(axes: Axes) -> None:
    """Mark round numbers as such: what is usual on such an axis overlaps where it spans little."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_xlim()
    if high < 1.01 * low:
        low, high = axes.set_xlim(low / 1.1, high * 1.1)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    choices = [np.outer(decades, parts) for parts in ((1,), (1, 3), (1, 2, 5))]
    choices.append(np.asarray(MaxNLocator(FEWEST_TICKS).tick_values(low, high)))
    seen = [choice[(choice >= low) & (choice <= high)] for choice in choices]
    ticks = next((found for found in seen if len(found) >= FEWEST_TICKS), seen[-1])
    ticks = ticks[:: -(-len(ticks) // MOST_TICKS)]
    axes.set_xticks(ticks, labels=[f"{tick:,.6g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def _legend(axes: Axes, named: Sequence[Entry], styles: dict[tuple[str, str], Look], more: bool) -> None:
    from matplotlib.lines import Line2D

    dots: dict[str, Any] = {"linestyle": ""}
    handles = [
        Line2D([], [], color=styles[entry.row].colour, marker=styles[entry.row].marker, label=entry.name, **dots)
        for entry in named
    ]
    if more:
        handles.append(Line2D([], [], color=OTHERS.colour, marker=OTHERS.marker, label="others", **dots))
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), borderaxespad=0.3)

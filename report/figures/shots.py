"""Accuracy against shots: one line per method, with the uncertainty over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from report.captions import missing, seeds_text, shots_text
from report.figures.multiples import multiples_figure
from report.frame import Entry, View
from report.statistics.intervals import LEVEL, coverage_limit
from report.style import GREY, MARKERS, PAGE, POINT, Look, empty_figure, looks, mark_shots, new_figure
from report.summary import Summary, summarise_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "Overall accuracy against shots"
CHANCE = "random_labels"
DASHED = (0, (3, 2))
HEIGHT = 3.5
LABEL_SIZE = 7.0
MOST_BANDS = 5
# More lines than these, and none can be followed: every method gets a panel of its own.
MOST_LINES = len(MARKERS)
ASIDE = 2**0.022  # on the log axis, from one method's bars to the next


@dataclass(frozen=True)
class Curve:
    """A line of the figure: a summary at each number of shots that has runs.

    Where many lines have bars, these are drawn at shots * `aside`, so that they stand side by side.
    """

    entry: Entry
    look: Look
    points: Mapping[int, Summary]
    aside: float = 1.0

    @property
    def name(self) -> str:
        """What the line is called."""
        return "chance (random labels)" if self.entry.row[0] == CHANCE else self.entry.name

    @property
    def shots(self) -> list[int]:
        """Numbers of shots that have runs, ascending."""
        return sorted(self.points)

    @property
    def means(self) -> list[float]:
        """The means at these."""
        return [self.mean(shots) for shots in self.shots]

    @property
    def band(self) -> tuple[list[float], list[float]]:
        """Lower and upper ends of the intervals at these."""
        ends = [self.interval(shots) for shots in self.shots]
        return [low for low, _ in ends], [high for _, high in ends]

    def mean(self, shots: int) -> float:
        """Return the mean at a number of shots that has runs."""
        return float(self.points[shots].mean or 0.0)

    def interval(self, shots: int) -> tuple[float, float]:
        """Return the ends of the interval over seeds; twice the mean where none can be given."""
        span = self.points[shots].seeds
        return (span.low, span.high) if span else (self.mean(shots), self.mean(shots))

    def reach(self, shots: Sequence[int]) -> list[list[float]]:
        """Return how far the interval reaches below and above the mean at each number of shots, as bars want it."""
        ends = [(self.mean(s), *self.interval(s)) for s in shots]
        return [[mean - low for mean, low, _ in ends], [high - mean for mean, _, high in ends]]


def shots_figure(view: View) -> Figure:
    """Return the figure: OA against shots on a log axis with 95 % intervals, names at the ends of the lines.

    A study of one number of shots has no lines: its methods are shown below each other. Many methods get a panel each.
    """
    curves, chance = _curves(view)
    if not curves:
        return empty_figure(view, WHAT, missing(view, view.entries))
    controls = [entry for entry in view.entries if entry.row[0] == CHANCE]
    crowded = len(curves) > MOST_BANDS
    notes = [_spread_note(view, len(curves)), missing(view, [*view.rivals, *controls])]
    if len(view.grid.shots) == 1:
        return _dots(view, curves, chance, notes)
    if len(curves) > MOST_LINES:
        return multiples_figure(view, WHAT, curves, chance, notes)
    if crowded:
        middle = (len(curves) - 1) / 2
        curves = [replace(curve, aside=ASIDE ** (place - middle)) for place, curve in enumerate(curves)]
    figure = new_figure(view, WHAT, PAGE, HEIGHT, notes)
    axes = figure.add_subplot()
    for curve in curves:
        _draw(axes, curve, bars=crowded)
    for curve in chance:
        axes.plot(curve.shots, curve.means, color=GREY, linestyle=DASHED, linewidth=1)
    _axes(axes, view, [*curves, *chance])
    _names(axes, [*curves, *chance])
    return figure


def _curves(view: View) -> tuple[list[Curve], list[Curve]]:
    """Return the curves of methods, and those of chance, that have any run."""
    seeds, shots = len(view.study.seeds), view.grid.shots
    cells = iter(summarise_all(view.scores("oa").reshape(-1, seeds), seeds))
    styles = looks(view.rivals)
    curves, chance = [], []
    for entry in view.entries:
        found = {s: cell for s, cell in zip(shots, cells, strict=False) if cell.mean is not None}
        if not found:
            continue
        if entry.row[0] == CHANCE:
            chance.append(Curve(entry, Look(GREY, "", DASHED), found))
        elif not entry.control:
            curves.append(Curve(entry, styles[entry.row], found))
    return curves, chance


def _spread_note(view: View, count: int) -> str:
    seeds, crowded = view.study.seeds, count > MOST_BANDS
    window = f"Window {view.study.window}, mask ratio {view.study.mask_ratio:g}."
    if len(seeds) == 1:
        return f"One run each ({seeds_text(seeds)}): no interval can be given. {window}"
    interval = "95 % BCa bootstrap interval of the mean over seeds"
    if coverage_limit(len(seeds)) < LEVEL:
        interval += f" (covers {100 * coverage_limit(len(seeds)):.0f} % at most, as seeds are few)"
    if len(view.grid.shots) == 1:
        return f"Points: mean over {seeds_text(seeds)}; bars: {interval}. {window}"
    shown = "bars side by side" if crowded and count <= MOST_LINES else "bands"
    return f"Lines: mean over {seeds_text(seeds)}; {shown}: {interval}. {window}"


def _draw(axes: Axes, curve: Curve, bars: bool) -> None:
    """Draw a line with a band, or with bars as many bands would hide each other."""
    places = [s * curve.aside for s in curve.shots]
    colour = curve.look.colour
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5}
    axes.plot(
        places, curve.means, color=colour, marker=curve.look.marker, linestyle=curve.look.dashes, zorder=3, **edge
    )
    if bars:
        reach = curve.reach(curve.shots)
        axes.errorbar(
            places, curve.means, yerr=reach, color=colour, linestyle="", elinewidth=0.8, capsize=1.5, zorder=2
        )
        return
    axes.fill_between(places, *curve.band, color=colour, alpha=0.14, linewidth=0, zorder=1)


def _axes(axes: Axes, view: View, curves: Sequence[Curve]) -> None:
    mark_shots(axes, view.grid.shots, PAGE / 2)
    axes.set_xlabel("labelled pixels per class (shots)")
    start = accuracy_start(_means(curves))
    axes.set_ylim(start, 101)
    axes.set_ylabel(accuracy_label(start))
    axes.grid(axis="y")


def accuracy_start(means: Sequence[float]) -> int:
    """Return where an accuracy axis starts: below all means; intervals of few seeds may reach far lower."""
    return max(0, 10 * int((min(means) - 5) // 10))


def accuracy_label(start: int) -> str:
    """Return the label of an accuracy axis, which says so where it does not start at zero."""
    return "OA (%)" if start == 0 else f"OA (%) – axis starts at {start}"


def _means(curves: Sequence[Curve]) -> list[float]:
    return [mean for curve in curves for mean in curve.means]


def _names(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write each line's name beside its end, spread so that no two overlap."""
    low, high = axes.get_ylim()
    gap = (high - low) * LABEL_SIZE * 1.25 * POINT / (HEIGHT * 0.8)
    ordered = sorted(curves, key=lambda curve: curve.mean(max(curve.points)))
    ends = [curve.mean(max(curve.points)) for curve in ordered]
    heights = spread(ends, gap, low, high)
    for curve, end, height in zip(ordered, ends, heights, strict=True):
        style = curve.look
        across = axes.get_yaxis_transform()
        axes.annotate(
            "",
            (max(curve.points) * curve.aside, end),
            (1.025, height),
            textcoords=across,
            arrowprops={"arrowstyle": "-", "color": style.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4},
        )
        sample: dict[str, Any] = {
            "color": style.colour,
            "linestyle": style.dashes,
            "transform": across,
            "clip_on": False,
        }
        axes.plot([1.03, 1.075], [height, height], **sample)
        axes.plot(1.0525, height, marker=style.marker, **sample)
        axes.text(1.085, height, curve.name, transform=across, va="center", fontsize=LABEL_SIZE)


def _dots(view: View, curves: Sequence[Curve], chance: Sequence[Curve], notes: Sequence[str]) -> Figure:
    """Return the figure for one number of shots: a row per method, accuracy to the right."""
    shots = view.grid.shots[0]
    what = f"Overall accuracy at {shots_text(shots)}"
    figure = new_figure(view, what, PAGE * 0.75, 0.6 + 0.18 * len(curves), notes)
    axes = figure.add_subplot()
    for place, curve in enumerate(curves):
        style = curve.look
        look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "elinewidth": 1.0, "capsize": 2}
        axes.errorbar(curve.mean(shots), place, xerr=curve.reach([shots]), **look)
    for curve in chance:
        axes.axvline(curve.mean(shots), color=GREY, linestyle=DASHED, linewidth=1)
        inside: dict[str, Any] = {"rotation": 90, "va": "center", "ha": "right", "fontsize": LABEL_SIZE, "color": GREY}
        axes.text(curve.mean(shots) - 0.7, (len(curves) - 1) / 2, "chance", **inside)
    start = accuracy_start(_means([*curves, *chance]))
    axes.set_xlim(start, 101)
    axes.set_xlabel(accuracy_label(start))
    axes.set_yticks(range(len(curves)), labels=[curve.name for curve in curves])
    axes.set_ylim(len(curves) - 0.5, -0.5)
    axes.grid(axis="x")
    return figure


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return ascending positions as near as easily found to those wanted, at least `gap` apart, within low..high."""
    placed: list[float] = []
    for position in wanted:
        placed.append(max(position, placed[-1] + gap) if placed else max(position, low))
    ceiling = high
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], ceiling)
        ceiling = placed[place] - gap
    return placed

"""What random splits leak: accuracy near training pixels and elsewhere, and under `paper` and `strict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from diffclip.study.tables import APART, LEAKY
from report.captions import missing, seeds_text, shots_text
from report.figures.few import few, left_out
from report.figures.shots import accuracy_label, accuracy_start
from report.frame import Entry, View, view
from report.predictions import near_shares, read_checked
from report.style import COLOURS, PAGE, empty_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 40
# In inches: a row; all around the rows; from their axis to the legend.
ROW, AROUND, BELOW = 0.17, 0.9, 0.4
UNCHECKED = "Near and elsewhere are not told: splits are missing, or 'python -m report check' has not been run."


@dataclass(frozen=True)
class Pair:
    """Two means per method (NaN where one is missing), and what they are called."""

    title: str
    names: tuple[str, str]
    first: np.ndarray
    second: np.ndarray


def leakage_figure(leaky: View) -> Figure:
    """Return the figure: a row per method, its two accuracies joined by a line, a panel per comparison."""
    shots = leaky.grid.shots[-1]
    here = leaky.at_shots(shots)
    what = f"Leakage at {shots_text(shots)}"
    shown = few(here, here.good, MOST)
    if not shown:
        return empty_figure(leaky, what, missing(here, here.rivals))
    pairs = [pair for pair in (_near(here), _strict(here)) if pair is not None]
    if not pairs:
        return empty_figure(leaky, what, UNCHECKED)
    places = [here.entries.index(entry) for entry in shown]
    figure = new_figure(leaky, what, PAGE, AROUND + ROW * len(shown), _notes(here, shown, pairs))
    panels = figure.subplots(1, len(pairs), sharey=True, sharex=True, squeeze=False)[0]
    means = np.concatenate([part[places] for pair in pairs for part in (pair.first, pair.second)])
    start = accuracy_start(means[~np.isnan(means)].tolist())
    for axes, pair in zip(panels, pairs, strict=True):
        _draw(axes, pair, places)
        axes.set_xlabel(accuracy_label(start))
    panels[0].set_xlim(start, 101)
    panels[0].set_yticks(range(len(shown)), labels=[entry.name for entry in shown])
    panels[0].set_ylim(len(shown) - 0.5, -0.5)
    return figure


def _near(here: View) -> Pair | None:
    checked = read_checked(here.study)
    if checked is None:
        return None
    shares = near_shares(here, checked)
    window = here.study.window
    names = (f"window overlaps a training window ({window} × {window})", "elsewhere")
    near, away = (_means(shares[key]) for key in ("near", "away"))
    if np.isnan(near + away).all():
        return None
    # How many pixels there are elsewhere: a handful of them says little.
    few_left = 100 - float(np.nanmean(shares["share"]))
    return Pair(f"Test pixels, {LEAKY} protocol ({few_left:.1f} % elsewhere)", names, near, away)


def _strict(here: View) -> Pair | None:
    if APART not in here.study.main.protocols:
        return None
    apart = view(here.study, here.all_runs, here.scene, APART).at_shots(here.grid.shots[-1])
    return Pair("Protocols", (LEAKY, APART), _means(here.scores("oa")), _means(apart.scores("oa")))


def _means(values: np.ndarray) -> np.ndarray:
    """Return the mean over the seeds of each entry that has all runs; the others are not compared."""
    return values[:, 0].mean(axis=1)


def _draw(axes: Axes, pair: Pair, places: Sequence[int]) -> None:
    from matplotlib.transforms import ScaledTranslation

    first, second = pair.first[places], pair.second[places]
    rows = np.arange(len(places))
    axes.hlines(rows, np.fmin(first, second), np.fmax(first, second), color="#b5b5b5", linewidth=1.0, zorder=1)
    look: dict[str, Any] = {"linestyle": "", "zorder": 3, "markersize": 4.5, "clip_on": False}
    axes.plot(first, rows, marker="o", color=COLOURS[1], label=pair.names[0], **look)
    axes.plot(second, rows, marker="D", color=COLOURS[0], markerfacecolor="white", label=pair.names[1], **look)
    axes.set_title(pair.title)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    below = axes.transAxes + ScaledTranslation(0, -BELOW, axes.figure.dpi_scale_trans)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=2, borderaxespad=0)


def _notes(here: View, shown: Sequence[Entry], pairs: Sequence[Pair]) -> list[str]:
    near = any(len(pair.names[1]) > len(APART) for pair in pairs)
    apart = f" {APART} also draws training pixels from fewer places, which is harder by itself." * (
        len(pairs) == 2 or not near
    )
    return [
        f"Mean OA over {seeds_text(here.study.seeds)}; methods that lack a run are not compared.{apart} A method that "
        "sees single pixels shows what nearness alone does: the scene is alike nearby.",
        "" if near else UNCHECKED,
        left_out(here.rivals, shown),
        missing(here, shown),
    ]

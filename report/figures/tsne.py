"""Features of one run's encoders, t-SNE: before stage 1, after it, after stage 2; coloured by class after the fact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from report.figures.reconstruction import NO_RUN
from report.frame import View
from report.inspection import Inspected, read_inspected
from report.scenes import Ground, read_ground
from report.study import Row
from report.style import LEGEND_ROW, PAGE, empty_figure, legend_columns, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"before": "Before stage 1", "stage_1": "After stage 1 (no labels)", "stage_2": "After stage 2"}
NEIGHBOURS = 5


def tsne_figure(view: View, row: Row) -> Figure:
    """Return the figure: a panel per encoder, its title with the leave-one-out accuracy of 5 neighbours."""
    inspected = read_inspected(view, row)
    if inspected is None:
        return empty_figure(view, "Features", NO_RUN)
    ground = read_ground(view.study.folder, view.scene)
    labels = inspected.arrays["labels"]
    shown = [int(k) for k in np.unique(labels)]
    columns = legend_columns([ground.class_names[k - 1] for k in shown], PAGE, 30)
    below = math.ceil(len(shown) / columns) * LEGEND_ROW + 0.1
    what = f"Features of {inspected.name}, t-SNE"
    figure = new_figure(view, what, PAGE, PAGE / 3 + 0.25 + below, _notes(inspected))
    cells = figure.add_gridspec(2, len(PANELS), height_ratios=[PAGE / 3 + 0.25, below])
    for place, (key, title) in enumerate(PANELS.items()):
        features = inspected.arrays[f"features_{key}"]
        axes = figure.add_subplot(cells[0, place])
        colours = [ground.colours[k - 1] for k in labels]
        # In a random order, so that no class lies on top of all others.
        order = np.random.default_rng(0).permutation(len(labels))
        points = inspected.arrays[f"tsne_{key}"][order]
        axes.scatter(points[:, 0], points[:, 1], s=4, c=[colours[i] for i in order], linewidths=0, alpha=0.85)
        axes.set_title(f"{title}\n{NEIGHBOURS}-NN {accuracy(features, labels):.1f} %", pad=4)
        axes.set(xticks=[], yticks=[], box_aspect=1)
        axes.spines[:].set_visible(True)
    _legend(figure.add_subplot(cells[1, :]), ground, shown, columns)
    return figure


def _notes(inspected: Inspected) -> list[str]:
    labels = inspected.arrays["labels"]
    return [
        f"{len(labels):,} test pixels, {inspected.run}; class tokens of all modalities, clean windows, t = 0. Labels "
        "of these pixels only colour them and decide how many of each class are shown. "
        f"t-SNE: perplexity {inspected.arrays['perplexity']}, started from principal components; distances between "
        "clusters mean little.",
        f"{NEIGHBOURS}-NN: share of these pixels whose {NEIGHBOURS} nearest others, in the features themselves, mostly "
        "have their class; windows of neighbouring pixels overlap, which helps. The pixels' own scaled channels, "
        f"without any encoder, give {accuracy(inspected.arrays['features_none'], labels):.1f} %. {inspected.settings}",
    ]


def accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the leave-one-out accuracy in percent of the nearest neighbours in (n, D) features."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(labels) - 1)
    # Asked without points of its own, a search leaves out each point itself.
    near = NearestNeighbors(n_neighbors=count).fit(features).kneighbors(return_distance=False)
    classes, codes = np.unique(labels, return_inverse=True)
    votes = (codes[near][:, :, None] == np.arange(len(classes))).sum(axis=1)
    return float(100 * (votes.argmax(axis=1) == codes).mean())


def _legend(axes: Axes, ground: Ground, shown: Sequence[int], columns: int) -> None:
    from matplotlib.lines import Line2D

    dots = [
        Line2D(
            [], [], linestyle="", marker="o", markersize=4, color=ground.colours[k - 1], label=ground.class_names[k - 1]
        )
        for k in shown
    ]
    axes.axis("off")
    axes.legend(handles=dots, ncols=columns, loc="center", borderaxespad=0)

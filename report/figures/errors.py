"""Where a few methods err, and how sure they were: error maps and confidence at the most shots and the lowest seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from report.captions import missing, shots_text
from report.figures.few import few, left_out
from report.figures.maps import TITLE_SIZE, UNLABELLED, MapLegend, fitted, painted, stored_predictions, title_height
from report.frame import Entry, View, of_entry
from report.scenes import Ground, read_ground
from report.style import PAGE, empty_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

MOST = 4
RIGHT, WRONG = "#d5d9de", "#a31515"
CONFIDENCE = "cividis"
# Scenes less tall than this share of their width get two panels a row, others four.
FLAT = 0.45
BAR = 0.32


@dataclass(frozen=True)
class Judged:
    """What a method made of a scene.

    Attributes:
        name: of the method.
        verdicts: (H, W) 1 right, 2 wrong, 0 unlabelled, -1 not tested.
        confidence: (H, W) between 0 and 1, NaN where nothing is tested.
    """

    name: str
    verdicts: np.ndarray
    confidence: np.ndarray

    @property
    def titles(self) -> tuple[str, str]:
        """Of the error map, and of the confidence."""
        right, wrong = self.verdicts == 1, self.verdicts == 2
        sure = " and ".join(
            f"{self.confidence[where].mean():.2f} where {what}"
            for where, what in ((right, "right"), (wrong, "wrong"))
            if where.any()
        )
        share = 100 * wrong.sum() / max(right.sum() + wrong.sum(), 1)
        return f"{self.name},\nerrors {share:.1f} %", f"Confidence: mean {sure}"


def errors_figure(view: View) -> Figure:
    """Return the figure: for each of a few methods its errors and its confidence, side by side."""
    shots, seed = view.grid.shots[-1], min(view.study.seeds)
    here = view.good[view.good["shots"] == shots]
    runs = here[here["seed"] == seed]
    what = f"Errors and confidence at {shots_text(shots)}, seed {seed}"
    shown = few(view, here, MOST, runs)
    if not shown:
        return empty_figure(view, what, missing(view, view.rivals) or "No run went well at these shots and this seed.")
    ground = replace(read_ground(view.study.folder, view.scene), class_names=("right", "wrong"), colours=(RIGHT, WRONG))
    judged = [_judged(view, entry, str(of_entry(runs, entry)["path"].iloc[0]), ground) for entry in shown]
    return _drawn(view, what, judged, ground, [_note(), left_out(view.rivals, shown)])


def _note() -> str:
    return (
        "Confidence: share of the predicted class in the softmax of a method's scores; methods scale their scores "
        "differently, so that only its pattern compares between them."
    )


def _judged(view: View, entry: Entry, record: str, ground: Ground) -> Judged:
    predicted, confidence = stored_predictions(view, record, ground)
    tested = predicted > 0
    verdicts = np.where(tested, np.where(predicted == ground.labels, 1, 2), predicted)
    return Judged(entry.name, verdicts, np.where(tested, confidence, np.nan))


def _drawn(view: View, what: str, judged: Sequence[Judged], ground: Ground, notes: Sequence[str]) -> Figure:
    aspect = ground.labels.shape[0] / ground.labels.shape[1]
    columns = 2 if aspect < FLAT or len(judged) == 1 else 4
    width = (PAGE - 0.1) / columns - 0.06
    titles = fitted([title for one in judged for title in one.titles], width)
    rows = math.ceil(2 * len(judged) / columns)
    tall = width * aspect + title_height(1 + max(title.count("\n") for title in titles))
    legend = MapLegend(ground, view.protocol)
    below = legend.height(PAGE * 0.6)
    figure = new_figure(view, what, PAGE, rows * tall + below + BAR, notes)
    cells = figure.add_gridspec(rows + 1, columns, height_ratios=[tall] * rows + [below + BAR])
    sure = None
    for place, (title, one) in enumerate(zip(titles, _images(judged, ground, width), strict=True)):
        axes = figure.add_subplot(cells[place // columns, place % columns])
        kind: dict[str, Any] = {"cmap": CONFIDENCE, "vmin": 0, "vmax": 1} if one.ndim == 2 else {}
        image = axes.imshow(one, interpolation="nearest", **kind)
        sure = image if kind else sure
        axes.set_facecolor(UNLABELLED)
        axes.set_title(title, fontsize=TITLE_SIZE, pad=3)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_linewidth(0.4)
    _below(figure, cells, rows, legend, below, sure)
    return figure


def _images(judged: Sequence[Judged], ground: Ground, width: float) -> Iterator[np.ndarray]:
    """Yield (h, w, 3) colours of errors, then (H, W) confidence, method by method."""
    for one in judged:
        yield painted(ground, one.verdicts, width)
        yield one.confidence


def _below(figure: Figure, cells: GridSpec, rows: int, legend: MapLegend, height: float, sure: Any) -> None:
    last = cells[rows, :].subgridspec(1, 2, width_ratios=[3, 2])
    legend.draw(figure.add_subplot(last[0]), PAGE * 0.6, height + BAR)
    place: Axes = figure.add_subplot(last[1])
    place.axis("off")
    inside = place.inset_axes((0.05, 0.45, 0.9, 0.2))
    figure.colorbar(sure, cax=inside, orientation="horizontal", label="confidence")

"""Maps: false colour, ground truth and what every method predicted, at the most shots and the lowest seed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diffclip.errors import UserError
from diffclip.study import layout
from report.captions import missing, shots_text
from report.figures.few import few, left_out
from report.frame import View, of_entry
from report.scenes import Ground, read_ground
from report.stored import read_arrays
from report.style import LEGEND_ROW, LETTER, PAGE, POINT, empty_figure, legend_columns, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

WHAT = "Classification maps"
MOST = 14
UNLABELLED, STRIPE, BETWEEN = "#f5f5f5", "#8c8c8c", "#ffffff"
MOST_HEIGHT = 7.4  # of all panels together, so that title and legend still fit a page
TITLE_SIZE = 7.0
PIXELS_PER_INCH = 200  # of the PNG
STRIPES = 0.015  # width of a stripe, in inches
UNTESTED = {
    "paper": "training pixel, not tested",
    "standard": "labelled, outside the test mask",
    "strict": "training pixel or too near one, not tested",
}
Panel = tuple[str, np.ndarray]


def maps_figure(view: View) -> Figure:
    """Return the figure: a panel per map, the legend of classes below."""
    shots, seed = view.grid.shots[-1], min(view.study.seeds)
    here = view.good[view.good["shots"] == shots]
    runs = here[here["seed"] == seed]
    what = f"{WHAT} at {shots_text(shots)}, seed {seed}"
    if runs.empty:
        return empty_figure(view, what, missing(view, view.rivals) or "No run went well at these shots and this seed.")
    ground = read_ground(view.study.folder, view.scene)
    height, width = ground.labels.shape
    there = [entry for entry in view.rivals if len(of_entry(runs, entry))]
    shown = there if len(there) <= MOST else few(view, here, MOST, runs)
    columns, panel = _grid(2 + len(shown), height / width)
    panels: list[Panel] = [
        ("False colour", ground.picture),
        ("Ground truth", painted(ground, ground.labels, panel)),
    ]
    for entry in shown:
        run = of_entry(runs, entry).iloc[0]
        predicted, _ = stored_predictions(view, str(run["path"]), ground)
        panels.append((f"{entry.name}, OA {run['oa']:.1f} %", painted(ground, predicted, panel)))
    absent = [entry.name for entry in view.rivals if entry not in there]
    note = f"Not shown, as this run is missing or failed: {', '.join(absent)}." if absent else ""
    return _drawn(view, what, panels, (columns, panel), ground, [left_out(there, shown), note])


def _grid(panels: int, aspect: float) -> tuple[int, float]:
    """Return (columns, width of a panel): the largest panels that together fit a page; `aspect` is height / width."""
    for columns in range(1, panels + 1):
        width = (PAGE - 0.1) / columns - 0.06
        if math.ceil(panels / columns) * (width * aspect + title_height(2)) <= MOST_HEIGHT:
            break
    return columns, width


def title_height(lines: int) -> float:
    """Return the height of a panel's title in inches."""
    return (lines * TITLE_SIZE * 1.25 + 6) * POINT


def stored_predictions(view: View, record: str, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, W) predicted classes, 0 where nothing is labelled and -1 where a labelled pixel is not tested.

    Beside them the confidence (H, W) of each prediction, 0 elsewhere.
    """
    path = view.study.folder / layout.predictions_of(record)
    image = np.where(ground.labels > 0, -1, 0)
    confidence = np.zeros(ground.labels.shape, np.float32)
    again = f"remove it and its record {view.study.folder / record} so that the run is made again"
    stored = read_arrays(path, again, ("pixels", "predicted", "confidence"))
    try:
        image.ravel()[stored["pixels"]] = stored["predicted"]
        confidence.ravel()[stored["pixels"]] = stored["confidence"]
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: no predictions for a map of {view.scene}: {error}; {again}") from None
    return image, confidence


def painted(ground: Ground, classes: np.ndarray, width: float) -> np.ndarray:
    """Return (h, w, 3) uint8 for a panel of this width in inches; what is not tested (-1) is striped, as no class is.

    Where the panel has room, every pixel becomes a square of several, so that one alone shows its stripes.
    """
    from matplotlib.colors import to_rgb

    times = max(1, int(width * PIXELS_PER_INCH / classes.shape[1]))
    classes = classes.repeat(times, axis=0).repeat(times, axis=1)
    stripe = max(2, round(STRIPES * classes.shape[1] / width))
    table = np.array([to_rgb(colour) for colour in (UNLABELLED, *ground.colours, STRIPE, BETWEEN)])
    rows, columns = np.indices(classes.shape)
    pattern = len(ground.colours) + 1 + ((rows + columns) // stripe) % 2
    return (255 * table[np.where(classes < 0, pattern, classes)]).round().astype(np.uint8)


def _drawn(
    view: View, what: str, panels: Sequence[Panel], grid: tuple[int, float], ground: Ground, notes: Sequence[str]
) -> Figure:
    columns, width = grid
    height = width * ground.labels.shape[0] / ground.labels.shape[1]
    rows = math.ceil(len(panels) / columns)
    titles = fitted([title for title, _ in panels], width)
    tall = height + title_height(1 + max(title.count("\n") for title in titles))
    # The legend fills what the last row leaves free, or else a row of its own.
    legend = MapLegend(ground, view.protocol)
    free = rows * columns - len(panels)
    beside = free > 0 and legend.height(free * width) <= height
    below = 0.0 if beside else legend.height(PAGE)
    figure = new_figure(view, what, PAGE, rows * tall + below, notes)
    cells = figure.add_gridspec(rows + (not beside), columns, height_ratios=[tall] * rows + [below] * (not beside))
    # Pixels of the scene stay sharp where the figure has more of them, and are averaged where it has fewer.
    finer = width * PIXELS_PER_INCH > ground.labels.shape[1]
    for place, (title, (_, image)) in enumerate(zip(titles, panels, strict=True)):
        axes = figure.add_subplot(cells[place // columns, place % columns])
        axes.imshow(image, interpolation="nearest" if finer else "antialiased")
        axes.set_title(title, fontsize=TITLE_SIZE, pad=3)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_linewidth(0.4)
    spot = cells[rows - 1, columns - free :] if beside else cells[rows, :]
    size = (free * width, height) if beside else (PAGE, below)
    legend.draw(figure.add_subplot(spot), *size)
    return figure


def fitted(titles: Sequence[str], width: float) -> list[str]:
    """Return titles that fit the width: all in one line, or broken before the accuracy and where they must."""
    letters = int(width / (TITLE_SIZE * LETTER * POINT))
    if max(map(len, titles)) <= letters:
        return list(titles)
    lines = (title.replace(", OA", "\nOA").split("\n") for title in titles)
    return ["\n".join(textwrap.fill(line, letters) for line in title) for title in lines]


class MapLegend:
    """The classes with their colours, and below them what is no class."""

    def __init__(self, ground: Ground, protocol: str) -> None:
        from matplotlib.patches import Patch

        edge: dict[str, Any] = {"edgecolor": "#606060", "linewidth": 0.4}
        self.classes = [
            Patch(facecolor=colour, label=name, **edge)
            for name, colour in zip(ground.class_names, ground.colours, strict=True)
        ]
        striped = Patch(facecolor=BETWEEN, edgecolor=STRIPE, linewidth=0.4, hatch="//////", label=UNTESTED[protocol])
        self.others = [striped, Patch(facecolor=UNLABELLED, label="unlabelled", **edge)]

    def columns(self, patches: Sequence[Patch], width: float) -> int:
        """Return how many columns fit the width."""
        return legend_columns([str(patch.get_label()) for patch in patches], width, 36)

    def _heights(self, width: float) -> tuple[float, float]:
        classes, others = (
            math.ceil(len(block) / self.columns(block, width)) * LEGEND_ROW + 0.08
            for block in (self.classes, self.others)
        )
        return classes, others

    def height(self, width: float) -> float:
        """Return its height in inches at a width."""
        return sum(self._heights(width))

    def draw(self, axes: Axes, width: float, height: float) -> None:
        """Draw both blocks one above the other, in the middle of axes of this size in inches."""
        axes.axis("off")
        classes, others = self._heights(width)
        between = (0.5, 0.5 + (others - classes) / (2 * height))
        put: dict[str, Any] = {"bbox_to_anchor": between, "borderaxespad": 0.1, "borderpad": 0.2}
        upper = axes.legend(handles=self.classes, ncols=self.columns(self.classes, width), loc="lower center", **put)
        axes.legend(handles=self.others, ncols=self.columns(self.others, width), loc="upper center", **put)
        axes.add_artist(upper)

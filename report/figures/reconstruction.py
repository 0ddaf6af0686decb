"""Reconstructions of stage 1: what went in, what was left of it by noise and masking, what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from report.frame import View
from report.inspection import Inspected, modality_title, read_inspected
from report.scenes import read_ground
from report.study import Row
from report.style import PAGE, empty_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("input", "noised", "masked", "output")
HIDDEN = 0.62  # grey of hidden tokens, which neither dark nor bright ground has often
NO_RUN = "Not inspected yet."
SMALL = 6.5
# In inches: room for the names of rows; between panels, and between modalities; above every row for its errors; above
# the first row for the names of columns and of modalities.
LEFT, BETWEEN, APART, ABOVE, HEAD = 0.5, 0.05, 0.14, 0.15, 0.32


def reconstruction_figure(view: View, row: Row) -> Figure:
    """Return the figure: a row per time step; for each modality its input, noised, masked and reconstructed pixels."""
    inspected = read_inspected(view, row)
    if inspected is None:
        return empty_figure(view, "Reconstructions", NO_RUN)
    names, times = inspected.modalities, inspected.arrays["times"]
    # Several modalities fill a page's width; one alone has larger panels on a narrower figure.
    gaps = LEFT + (len(names) - 1) * APART + 3 * len(names) * BETWEEN + 0.05
    panel = (PAGE - gaps) / (4 * len(names)) if len(names) > 1 else 1.0
    block = 4 * panel + 3 * BETWEEN
    width = LEFT + len(names) * block + (len(names) - 1) * APART + 0.05
    height = HEAD + len(times) * (panel + ABOVE) + 0.1
    figure = new_figure(view, f"Reconstructions by {inspected.name}", width, height, _notes(inspected))
    figure.set_layout_engine("none")  # places are known to the pixel
    top = figure.get_figheight() - (0.24 if "\n" not in figure.get_suptitle() else 0.4)
    for place, name in enumerate(names):
        left = LEFT + place * (block + APART)
        figure.text(
            (left + block / 2) / width, (top - 0.06) / figure.get_figheight(), _title(view, name), ha="center", va="top"
        )
        for at, images in enumerate(_images(inspected, name)):
            bottom = top - HEAD - (at + 1) * (panel + ABOVE)
            corners = [(left + column * (panel + BETWEEN), bottom) for column in range(len(COLUMNS))]
            panels = [_panel(figure, *corner, panel) for corner in corners]
            _show(panels, images, COLUMNS if at == 0 else ("",) * 4)
            hidden, visible = (_number(inspected.arrays[key][at, place]) for key in ("mse_hidden", "mse_visible"))
            # On a line above the names of columns, to the left of where the panels end: it may be wider than a panel.
            below = "\n" if at == 0 else ""
            panels[-1].set_title(f"MSE {hidden} | {visible}{below}", loc="right", fontsize=SMALL, pad=2)
            if place == 0:
                panels[0].set_ylabel(f"t = {times[at]}", rotation=0, ha="right", va="center", labelpad=3)
    return figure


def _number(error: float) -> str:
    """Return an error, or a dash where no token is hidden or none visible."""
    return "–" if np.isnan(error) else f"{error:.2f}"


def _panel(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """Return square axes at a place in inches, which no layout moves."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def _notes(inspected: Inspected) -> list[str]:
    side = inspected.arrays[f"{inspected.modalities[0]}_input"].shape[0]
    tiles = side // inspected.identity["window"]
    return [
        f"The {side} × {side} pixels with the most contrast, as {tiles} × {tiles} windows that know nothing of each "
        "other; noise and hidden tokens (grey) are the same at all time steps t. Stage 1 is shown at seed "
        f"{inspected.asked.seed}. {inspected.settings}",
        "MSE: mean squared error of hidden | visible tokens over all channels, which are scaled over the scene; where "
        "that gives them a variance of 1, predicting their mean everywhere errs by 1 on average over the scene.",
    ]


def _title(view: View, name: str) -> str:
    if name == "hsi":
        return f"{modality_title(name)}, false colour"
    if name != "aux":
        return modality_title(name)
    known = read_ground(view.study.folder, view.scene).aux_names
    return f"{known[0][:1].upper()}{known[0][1:]}" if known else "First auxiliary raster"


def _images(inspected: Inspected, name: str) -> Iterator[list[np.ndarray]]:
    """Yield the four images of each time step, (S, S, C) between 0 and 1."""
    arrays = inspected.arrays
    low, high = arrays[f"{name}_limits"]
    span = np.maximum(high - low, 1e-6)
    clean = np.clip((arrays[f"{name}_input"] - low) / span, 0, 1)
    for noised, predicted in zip(arrays[f"{name}_noised"], arrays[f"{name}_reconstructed"], strict=True):
        seen = np.clip((noised - low) / span, 0, 1)
        masked = np.where(arrays[f"{name}_hidden"][..., None], HIDDEN, seen)
        yield [clean, seen, masked, np.clip((predicted - low) / span, 0, 1)]


def _show(panels: Sequence[Axes], images: Sequence[np.ndarray], titles: Sequence[str]) -> None:
    for axes, image, title in zip(panels, images, titles, strict=True):
        grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} if image.shape[2] == 1 else {}
        axes.imshow(image[..., 0] if grey else image, interpolation="nearest", **grey)
        axes.set_title(title, fontsize=SMALL, pad=2)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_linewidth(0.4)

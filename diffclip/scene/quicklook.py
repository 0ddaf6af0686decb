"""A scene at a glance: one picture of its bands, rasters and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from diffclip.files import write_atomically
from diffclip.scene.rendering import STRETCH, false_colour
from diffclip.scene.scene import Scene, SceneInfo

MOST_RASTERS = 3
WIDE = 2.0  # a scene this much wider than high has its panels below one another

# Okabe and Ito's colours, then those farthest from all before, for normal, deuteranopic and protanopic eyes.
_PALETTE = [
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
    "#0d0dfa",
    "#2f2f0d",
    "#0d1e94",
    "#0dfa94",
    "#401e51",
    "#a551fa",
    "#e90d51",
    "#a5d8b6",
    "#faa561",
    "#83400d",
    "#941e51",
    "#e9c7e9",
    "#940d83",
]


def class_colours(n: int, info: SceneInfo | None = None) -> list[str]:
    """Return n colours "#rrggbb": the scene's own where it has them, else a palette for colour-blind readers too."""
    if info is not None and len(info.colours) == n:
        return list(info.colours)
    if n <= len(_PALETTE):
        return _PALETTE[:n]
    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0, 1, n))]


def label_colours(scene: Scene) -> UInt8[np.ndarray, "H W 3"]:
    """Return the ground truth as (H, W, 3) uint8; unlabelled pixels are white."""
    colours = ["#ffffff", *class_colours(scene.n_classes, scene.info)]
    table = np.array([to_rgb(colour) for colour in colours]) * 255
    return table.round().astype(np.uint8)[scene.labels]


def quicklook(scene: Scene, path: Path) -> Path:
    """Write a PNG with false colour, auxiliary rasters and ground truth with its legend; return its path."""
    n_rasters = min(scene.aux.shape[2], MOST_RASTERS)
    figure, panels, legend = _layout(scene, 2 + n_rasters)
    figure.suptitle(_title(scene), fontsize=11, fontweight="bold")
    red, green, blue = scene.info.false_colour
    _show(
        panels[0],
        f"False colour, bands {red}, {green}, {blue}",
        false_colour(scene.imagery),
    )
    for channel, panel in enumerate(panels[1:-1]):
        raster = scene.aux[..., channel]
        low, high = np.percentile(raster, STRETCH)
        _show(
            panel,
            _aux_name(scene, channel),
            raster,
            cmap="viridis",
            vmin=low,
            vmax=high,
        )
        figure.colorbar(panel.images[0], ax=panel, shrink=0.8, pad=0.01, extend="both").ax.tick_params(labelsize=7)
    _show(panels[-1], "Ground truth", label_colours(scene))
    _legend(legend, scene)
    FigureCanvasAgg(figure)
    # No software version inside, so that the same scene gives the same file.
    return write_atomically(
        Path(path),
        lambda file: figure.savefig(file, format="png", dpi=150, metadata={"Software": None}),
    )


def _layout(scene: Scene, n_panels: int) -> tuple[Figure, list[Axes], Axes]:
    """Return a figure with one axes per panel, side by side (below one another if wide), and one for the legend."""
    height, width = scene.shape
    figure = Figure(layout="constrained")
    if width / height >= WIDE:
        panel_height = max(9.0 * height / width, 1.2)
        figure.set_size_inches(11.7, (panel_height + 0.4) * n_panels + 0.6)
        grid = figure.add_gridspec(n_panels, 2, width_ratios=(9.5, 2.2))
        panels = [figure.add_subplot(grid[i, 0]) for i in range(n_panels)]
        legend = figure.add_subplot(grid[:, 1])
    else:
        figure.set_size_inches(
            3.4 * n_panels + 2.6,
            max(3.2 * height / width, 0.22 * scene.n_classes) + 0.8,
        )
        grid = figure.add_gridspec(1, n_panels + 1, width_ratios=[3.4] * n_panels + [2.6])
        panels = [figure.add_subplot(grid[0, i]) for i in range(n_panels)]
        legend = figure.add_subplot(grid[0, n_panels])
    return figure, panels, legend


def _title(scene: Scene) -> str:
    height, width = scene.shape
    parts = [
        f"{height} × {width} pixels",
        f"{scene.hsi.shape[2]} bands",
        f"{scene.n_classes} classes",
    ]
    if scene.info.gsd:
        parts.append(f"{scene.info.gsd:g} m")
    return f"{scene.info.title}{' (SIMULATED)' if scene.info.simulated else ''}: {', '.join(parts)}"


def _aux_name(scene: Scene, channel: int) -> str:
    names = scene.info.aux_names
    return names[channel] if channel < len(names) else f"aux {channel + 1}"


def _show(panel: Axes, title: str, image: np.ndarray, **options: object) -> None:
    panel.imshow(image, interpolation="nearest", **options)  # type: ignore[arg-type]
    panel.set_title(title, fontsize=9, loc="left")
    panel.set_xticks([])
    panel.set_yticks([])


def _legend(axes: Axes, scene: Scene) -> None:
    counts = np.bincount(scene.labels.ravel(), minlength=scene.n_classes + 1)
    names = ["unlabelled", *scene.class_names]
    colours = ["#ffffff", *class_colours(scene.n_classes, scene.info)]
    patches = [
        Patch(
            facecolor=colour,
            edgecolor="#888888",
            linewidth=0.5,
            label=f"{name}  {count:,}",
        )
        for name, colour, count in zip(names, colours, counts, strict=True)
    ]
    axes.axis("off")
    axes.legend(
        handles=[*patches[1:], patches[0]],
        loc="center left",
        bbox_to_anchor=(0.0, 0.5),
        borderaxespad=0,
        fontsize=8,
        frameon=False,
        title="class and pixels",
        title_fontsize=8,
        alignment="left",
    )

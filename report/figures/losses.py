"""Loss curves of stage 1: errors on hidden and on visible tokens of each modality, over the seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from report.captions import seeds_text
from report.figures.reconstruction import NO_RUN
from report.frame import View
from report.inspection import Inspected, Losses, modality_title, read_inspected, read_losses
from report.study import Row
from report.style import COLOURS, PAGE, empty_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "Losses of stage 1"
HEIGHT = 2.3
MOST_POINTS = 25
WIDE = 10.0  # from the least to the greatest error: from here on the axis is a logarithmic one
KINDS = (("hidden", COLOURS[1], "-"), ("visible", COLOURS[0], (0, (4, 1.5))))


def losses_figure(view: View, row: Row) -> Figure:
    """Return the figure: a panel per modality; lines are means over seeds, bands reach from least to most."""
    inspected = read_inspected(view, row)
    losses = read_losses(view, inspected) if inspected else None
    if inspected is None or losses is None:
        return empty_figure(view, WHAT, NO_RUN)
    names = inspected.modalities
    width = PAGE if len(names) > 1 else PAGE * 0.6
    figure = new_figure(view, f"{WHAT}, {inspected.name}", width, HEIGHT, _notes(view, inspected, losses))
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for place, (name, axes) in enumerate(zip(names, panels, strict=True)):
        _draw(axes, losses, place)
        axes.set_title(modality_title(name))
        axes.set_xlabel("step of training")
    logarithmic = _is_wide(losses)
    panels[0].set_ylabel(f"mean squared error{' (log axis)' if logarithmic else ''}")
    if logarithmic:
        panels[0].set_yscale("log")
    else:
        panels[0].set_ylim(bottom=0)
    panels[-1].legend(loc="lower left", title="tokens", alignment="left")
    return figure


def _notes(view: View, inspected: Inspected, losses: Losses) -> list[str]:
    seeds = seeds_text(losses.seeds)
    drawn = f"Lines: means; bands: least to most over {seeds}" if len(losses.seeds) > 1 else f"One run, {seeds}"
    lacking = [seed for seed in view.study.seeds if seed not in losses.seeds]
    without = f" Without a log: {seeds_text(lacking)}." if lacking else ""
    return [
        f"{drawn}; every point is the mean of {_every(losses):g} steps, over all time "
        f"steps t. Channels are scaled over the scene. {inspected.settings}{without}"
    ]


def _binned(losses: Losses) -> int:
    """Return how many points of a log become one of the figure."""
    return -(-len(losses.steps) // MOST_POINTS)


def _every(losses: Losses) -> float:
    return _binned(losses) * float(losses.steps[0])


def _is_wide(losses: Losses) -> bool:
    errors = np.concatenate([losses.hidden, losses.visible])
    return bool(errors.min() > 0 and errors.max() / errors.min() > WIDE)


def _draw(axes: Axes, losses: Losses, modality: int) -> None:
    points = _binned(losses)
    ends = np.arange(points, len(losses.steps) + 1, points)
    for kind, colour, dashes in KINDS:
        errors = getattr(losses, kind)[:, : ends[-1], modality]
        means = errors.reshape(len(losses.seeds), -1, points).mean(axis=2)
        steps = losses.steps[ends - 1]
        axes.plot(steps, means.mean(axis=0), color=colour, linestyle=dashes, label=kind)
        if len(losses.seeds) > 1:
            axes.fill_between(steps, means.min(axis=0), means.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axes.set_xlim(0, losses.steps[-1])
    axes.grid(axis="y")

"""Figures of a scene under a protocol, and of a study over all scenes, each as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from diffclip.errors import UserError
from diffclip.study import figures as names
from diffclip.study import layout
from diffclip.study.tables import RANKS
from report.figures.confusion import confusion_figure
from report.figures.cost import cost_figure
from report.figures.errors import errors_figure
from report.figures.leakage import leakage_figure
from report.figures.losses import losses_figure
from report.figures.maps import maps_figure
from report.figures.ranks import ranks_figure
from report.figures.reconstruction import reconstruction_figure
from report.figures.shots import shots_figure
from report.figures.sweep import sweep_figure
from report.figures.tsne import tsne_figure
from report.frame import View, view
from report.study import Row, Study, asked
from report.style import save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAIN: Mapping[str, Callable[[View], Figure]] = {
    "shots": shots_figure,
    "maps": maps_figure,
    "errors": errors_figure,
    "confusion": confusion_figure,
    "cost": cost_figure,
    names.LEAKAGE: leakage_figure,
}
# What an inspected run learned.
INSPECTED: Mapping[str, Callable[[View, Row], Figure]] = {
    "reconstruction": reconstruction_figure,
    "losses": losses_figure,
    "tsne": tsne_figure,
}


def make_figures(
    study: Study,
    runs: pd.DataFrame,
    scene: str | None = None,
    protocol: str | None = None,
    kinds: Sequence[str] | None = None,
    sweep: str | None = None,
    method: str | None = None,
    variant: str | None = None,
) -> Iterator[Path]:
    """Write figures of the study's scenes, all of them or those asked for; yield paths.

    Asking for a sweep asks for its figures only; asking for a method or variant, for those of its inspected runs.

    Raises:
        UserError: the study has no such scene, protocol, sweep or inspected row, or no such figure under this protocol.
    """
    scenes, protocols = asked("scene", scene, study.scenes), asked("protocol", protocol, study.protocols)
    sweeps = asked("sweep", sweep, tuple(study.sweeps))
    rows = _rows(study, method, variant)
    if sweep is not None:
        kinds = (names.SWEEP,)
    elif kinds is None:
        kinds = names.KINDS if method is None and variant is None else names.INSPECTED
    details = {"", *sweeps, *("-".join(row) for row in rows)}
    wanted = [
        (found, name)
        for found, name in study.figures
        if found in protocols and name.partition("-")[0] in kinds and name.partition("-")[2] in details
    ]
    if not wanted:
        raise UserError(f"nothing to draw: {study.folder} has no such figure under this protocol")
    with styled():
        for shown in scenes:
            for found, name in wanted:
                figure = _drawn(study, runs, shown, found, name, rows)
                path = layout.FIGURE.format(scene=shown, protocol=found, kind=name, format="{format}")
                yield from save(figure, study.folder / path)


def make_overview_figures(study: Study, runs: pd.DataFrame) -> Iterator[Path]:
    """Write the figures over all scenes of a study; yield paths."""
    with styled():
        for name in study.overview_figures:
            figure = ranks_figure(study, runs, name.removesuffix(f"_{RANKS}"))
            yield from save(figure, study.folder / layout.OVERVIEW_FIGURE.format(kind=name, format="{format}"))


def _rows(study: Study, method: str | None, variant: str | None) -> list[Row]:
    """Return the inspected rows that are asked for."""
    rows = study.inspection.rows if study.inspection else ()
    methods = asked("method", method, tuple(dict.fromkeys(row[0] for row in rows)))
    variants = asked("variant", variant, tuple(dict.fromkeys(row[1] for row in rows if row[0] in methods)))
    return [row for row in rows if row[0] in methods and row[1] in variants]


def _drawn(study: Study, runs: pd.DataFrame, scene: str, protocol: str, name: str, rows: Sequence[Row]) -> Figure:
    kind, _, detail = name.partition("-")
    shown = view(study, runs, scene, protocol, detail if kind == names.SWEEP else None)
    if kind in INSPECTED:
        return INSPECTED[kind](shown, next(row for row in rows if "-".join(row) == detail))
    draw = partial(sweep_figure, name=detail) if kind == names.SWEEP else MAIN[kind]
    return draw(shown)

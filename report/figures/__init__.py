"""Figures of a scene under a protocol, each as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from diffclip.errors import UserError
from report.figures.confusion import confusion_figure
from report.figures.cost import cost_figure
from report.figures.errors import errors_figure
from report.figures.losses import losses_figure
from report.figures.maps import maps_figure
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
}
SWEEP = "sweep"
# What an inspected run learned; each figure's name ends with its method and variant.
INSPECTED: Mapping[str, Callable[[View, Row], Figure]] = {
    "reconstruction": reconstruction_figure,
    "losses": losses_figure,
    "tsne": tsne_figure,
}
EVERY = (*MAIN, SWEEP, *INSPECTED)


@dataclass(frozen=True)
class _Wanted:
    """A figure to draw: its protocol, the end of its file's name, how to draw it, and the sweep that it shows."""

    protocol: str
    name: str
    draw: Callable[[View], Figure]
    sweep: str | None = None


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
    """Write figures of the study, all of them or those asked for; yield paths.

    Asking for a sweep asks for its figures only; asking for a method or variant, for those of its inspected runs.

    Raises:
        UserError: the study has no such scene, protocol, sweep or inspected row, or no such figure under this protocol.
    """
    scenes = asked("scene", scene, study.scenes)
    if sweep is not None:
        kinds = (SWEEP,)
    elif kinds is None:
        kinds = EVERY if method is None and variant is None else tuple(INSPECTED)
    wanted = [*_wanted(study, protocol, kinds, sweep), *_inspected(study, protocol, kinds, method, variant)]
    if not wanted:
        raise UserError(f"nothing to draw: {study.folder} has no such figure under this protocol")
    with styled():
        for found in scenes:
            for figure in wanted:
                shown = view(study, runs, found, figure.protocol, figure.sweep)
                yield from save(figure.draw(shown), shown, figure.name)


def figure_names(study: Study) -> list[tuple[str, str]]:
    """Return (protocol, end of the file's name) of every figure that each scene of the study has."""
    wanted = [*_wanted(study, None, EVERY, None), *_inspected(study, None, EVERY, None, None)]
    return [(figure.protocol, figure.name) for figure in wanted]


def _wanted(study: Study, protocol: str | None, kinds: Sequence[str], sweep: str | None) -> Iterator[_Wanted]:
    """Yield every figure of the main grid and of sweeps that is asked for."""
    sweeps = asked("sweep", sweep, tuple(study.sweeps))
    for name in asked("protocol", protocol, study.protocols):
        if name in study.main.protocols:
            yield from (_Wanted(name, main, draw) for main, draw in MAIN.items() if main in kinds)
        if SWEEP in kinds:
            for swept in sweeps:
                if name in study.sweeps[swept].protocols:
                    yield _Wanted(name, f"{SWEEP}-{swept}", partial(sweep_figure, name=swept), swept)


def _inspected(
    study: Study, protocol: str | None, kinds: Sequence[str], method: str | None, variant: str | None
) -> Iterator[_Wanted]:
    """Yield every figure of inspected runs that is asked for."""
    rows = study.inspection.rows if study.inspection else ()
    methods = asked("method", method, tuple(dict.fromkeys(row[0] for row in rows)))
    variants = asked("variant", variant, tuple(dict.fromkeys(row[1] for row in rows if row[0] in methods)))
    if study.inspection is None or protocol not in (None, study.inspection.protocol):
        return
    for row in rows:
        if row[0] in methods and row[1] in variants:
            for kind, draw in INSPECTED.items():
                if kind in kinds:
                    yield _Wanted(study.inspection.protocol, "-".join((kind, *row)), _of(row, draw))


def _of(row: Row, draw: Callable[[View, Row], Figure]) -> Callable[[View], Figure]:
    return lambda shown: draw(shown, row)

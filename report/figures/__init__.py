"""Figures of a scene under a protocol, each as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from diffclip.errors import UserError
from report.figures.confusion import confusion_figure
from report.figures.maps import maps_figure
from report.figures.shots import shots_figure
from report.figures.sweep import sweep_figure
from report.frame import View, view
from report.study import Study, asked
from report.style import save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAIN: Mapping[str, Callable[[View], Figure]] = {
    "shots": shots_figure,
    "maps": maps_figure,
    "confusion": confusion_figure,
}
SWEEP = "sweep"
EVERY = (*MAIN, SWEEP)


def make_figures(
    study: Study,
    runs: pd.DataFrame,
    scene: str | None = None,
    protocol: str | None = None,
    kinds: Sequence[str] | None = None,
    sweep: str | None = None,
) -> Iterator[Path]:
    """Write figures of the study, all of them or those asked for; yield paths.

    Asking for a sweep asks for its figures only.

    Raises:
        UserError: the study has no such scene, protocol or sweep, or no such figure under this protocol.
    """
    scenes = asked("scene", scene, study.scenes)
    wanted = list(_wanted(study, protocol, kinds or EVERY if sweep is None else (SWEEP,), sweep))
    if not wanted:
        raise UserError(f"nothing to draw: {study.folder} has no such figure under this protocol")
    with styled():
        for found in scenes:
            for name, figure, swept in wanted:
                shown = view(study, runs, found, name, swept)
                if swept is None:
                    yield from save(MAIN[figure](shown), shown, figure)
                else:
                    yield from save(sweep_figure(shown, swept), shown, f"{SWEEP}-{swept}")


def _wanted(
    study: Study, protocol: str | None, kinds: Sequence[str], sweep: str | None
) -> Iterator[tuple[str, str, str | None]]:
    """Yield (protocol, kind, sweep or None) of every figure asked for."""
    sweeps = asked("sweep", sweep, tuple(study.sweeps))
    for name in asked("protocol", protocol, study.protocols):
        if name in study.main.protocols:
            yield from ((name, main, None) for main in MAIN if main in kinds)
        if SWEEP in kinds:
            yield from ((name, SWEEP, swept) for swept in sweeps if name in study.sweeps[swept].protocols)

"""Tables of a scene under a protocol, and of a study over all scenes, each as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from diffclip.files import write_atomically
from diffclip.study import layout
from diffclip.study import tables as names
from report.frame import View, view
from report.study import Study, asked
from report.tables.ablation import ablation_table
from report.tables.comparisons import comparisons_table
from report.tables.cost import cost_table
from report.tables.data_sets import classes_table, data_sets_table
from report.tables.html import html
from report.tables.intervals import intervals_table
from report.tables.latex import latex
from report.tables.leakage import drop_table, leakage_table
from report.tables.main import main_table
from report.tables.markdown import markdown
from report.tables.numbers import numbers
from report.tables.per_class import per_class_table
from report.tables.ranks import ranks_table
from report.tables.scorecard import scorecard_table
from report.tables.sweep import sweep_table
from report.tables.table import Table

KINDS: Mapping[str, Callable[[View], Table]] = {
    "main": main_table,
    "intervals": intervals_table,
    "comparisons": comparisons_table,
    "per_class": per_class_table,
    "classes": classes_table,
    "cost": cost_table,
    names.ABLATION: lambda shown: ablation_table(
        shown, shown.study.ablated, names.ABLATION, "Overall accuracy (OA) of variants in %"
    ),
    names.PROMPTS: lambda shown: ablation_table(
        shown, shown.study.prompted, names.PROMPTS, "Overall accuracy (OA) with other prompts in %"
    ),
    names.LEAKAGE: leakage_table,
    names.DROP: drop_table,
}
WRITERS: Mapping[str, Callable[[Table], str]] = {"md": markdown, "tex": latex, "csv": numbers, "html": html}


def make_tables(
    study: Study, runs: pd.DataFrame, scene: str | None = None, protocol: str | None = None
) -> Iterator[Path]:
    """Write the tables of every scene under every protocol, or of those asked for; yield paths."""
    scenes, protocols = asked("scene", scene, study.scenes), asked("protocol", protocol, study.protocols)
    for found in scenes:
        views: dict[tuple[str, str | None], View] = {}
        for name, kind in study.tables:
            if name not in protocols:
                continue
            sweep = kind.removeprefix(f"{names.SWEEP}-") if kind.startswith(f"{names.SWEEP}-") else None
            if (name, sweep) not in views:
                views[name, sweep] = view(study, runs, found, name, sweep)
            shown = views[name, sweep]
            table = KINDS[kind](shown) if sweep is None else sweep_table(shown, sweep)
            for form, write in WRITERS.items():
                path = layout.TABLE.format(scene=found, protocol=name, kind=kind, format=form)
                yield _written(study.folder / path, write(table))


def make_overviews(study: Study, runs: pd.DataFrame) -> Iterator[Path]:
    """Write the tables over all scenes of a study; yield paths."""
    for kind in study.overviews:
        if kind == names.DATA_SETS:
            table = data_sets_table(study, runs)
        elif kind == names.SCORECARD:
            table = scorecard_table(study, runs)
        else:
            table = ranks_table(study, runs, kind.removesuffix(f"_{names.RANKS}"))
        for form, write in WRITERS.items():
            yield _written(study.folder / layout.OVERVIEW.format(kind=kind, format=form), write(table))


def _written(path: Path, text: str) -> Path:
    return write_atomically(path, lambda file: file.write(text.encode()))

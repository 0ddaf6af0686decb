"""The table per class: classes by rows, methods by columns, at the largest number of shots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from report.captions import shots_text, span, table_caption
from report.frame import View, class_names
from report.statistics.paired import Highest
from report.summary import summarise
from report.tables.main import SHOWN, all_notes, entry_keys
from report.tables.marks import marks
from report.tables.table import Column, Line, Table

Found = tuple[Line, Highest | None]


def per_class_table(view: View) -> Table:
    """Return the table per class of a scene under a protocol."""
    shots = view.grid.shots[-1]
    view = view.at_shots(shots)
    found = [*_class_lines(view), *_metric_lines(view)]
    lines = tuple(line for line, _ in found)
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-per-class",
        caption=table_caption(view, f"Accuracy per class in % at {shots_text(shots)}"),
        stub=("Class", "Test pixels"),
        columns=tuple(Column("", entry.name + entry.signs, entry_keys(entry)) for entry in view.entries),
        lines=lines,
        notes=tuple(all_notes(view, lines, [compared for _, compared in found], "per row")),
        keys={"scene": view.scene, "protocol": view.protocol, "shots": shots},
    )


def _class_lines(view: View) -> Iterator[Found]:
    accuracy = pd.DataFrame([json.loads(text) for text in view.good["class_accuracy"]], index=view.good.index)
    counts = pd.DataFrame([json.loads(text) for text in view.runs["class_test_pixels"]], index=view.runs.index)
    for name in class_names(view.runs):
        values = accuracy[name] if name in accuracy else pd.Series(dtype=float)
        pixels = counts[name].dropna()
        keys = {"metric": "accuracy", "class": name, "test_pixels": round(pixels.mean(), 1)}
        yield _line(view, (name, span(pixels, ",.0f")), view.scores(values)[:, 0], keys)


def _metric_lines(view: View) -> Iterator[Found]:
    pixels = view.runs["test_pixels"]
    count, text = (round(pixels.mean(), 1), span(pixels, ",.0f")) if len(pixels) else ("", "")
    for place, (metric, label) in enumerate(SHOWN.items()):
        keys = {"metric": metric, "class": "", "test_pixels": count}
        # Without any record the classes are not known, and there is nothing above to be set apart from.
        yield _line(view, (label, text), view.scores(metric)[:, 0], keys, after_rule=place == 0 and len(pixels) > 0)


def _line(
    view: View, stub: tuple[str, ...], values: np.ndarray, keys: Mapping[str, Any], after_rule: bool = False
) -> Found:
    shown, compared = marks(values, [not entry.control for entry in view.entries])
    cells = tuple(summarise(row, len(view.study.seeds)) for row in values)
    return Line(stub, cells, shown, keys, after_rule), compared

"""The table per class: classes by rows, methods by columns, at the largest number of shots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from report.captions import shots_text, span, table_caption
from report.frame import Entry, View, at, class_names, of_entry
from report.summary import Summary, summarise
from report.tables.main import SHOWN, all_notes, entry_keys
from report.tables.table import Column, Line, Table, marks


def per_class_table(view: View) -> Table:
    """Return the table per class of a scene under a protocol."""
    shots = view.grid.shots[-1]
    view = view.at_shots(shots)
    lines = (*_class_lines(view), *_metric_lines(view))
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-per-class",
        caption=table_caption(view, f"Accuracy per class in % at {shots_text(shots)}"),
        stub=("Class", "Test pixels"),
        columns=tuple(Column("", entry.name + entry.signs, entry_keys(entry)) for entry in view.entries),
        lines=lines,
        notes=tuple(all_notes(view, lines, "per row")),
        keys={"scene": view.scene, "protocol": view.protocol, "shots": shots},
    )


def _class_lines(view: View) -> Iterator[Line]:
    expected = len(view.study.seeds)
    runs = view.runs
    good = runs[runs["status"] == "ok"]
    accuracy = pd.DataFrame([json.loads(text) for text in good["class_accuracy"]], index=good.index)
    counts = pd.DataFrame([json.loads(text) for text in runs["class_test_pixels"]], index=runs.index)
    for name in class_names(runs):
        values = accuracy[name] if name in accuracy else pd.Series(dtype=float)
        cells = [summarise(values.reindex(of_entry(good, entry).index), expected) for entry in view.entries]
        pixels = counts[name].dropna()
        keys = {"metric": "accuracy", "class": name, "test_pixels": round(pixels.mean(), 1)}
        yield _line((name, span(pixels, ",.0f")), cells, view.entries, keys)


def _metric_lines(view: View) -> Iterator[Line]:
    pixels = view.runs["test_pixels"]
    count, text = (round(pixels.mean(), 1), span(pixels, ",.0f")) if len(pixels) else ("", "")
    for place, (metric, label) in enumerate(SHOWN.items()):
        cells = [at(of_entry(view.runs, entry), metric, len(view.study.seeds)) for entry in view.entries]
        keys = {"metric": metric, "class": "", "test_pixels": count}
        # Without any record the classes are not known, and there is nothing above to be set apart from.
        yield _line((label, text), cells, view.entries, keys, after_rule=place == 0 and len(pixels) > 0)


def _line(
    stub: tuple[str, ...],
    cells: Sequence[Summary],
    shown: Sequence[Entry],
    keys: Mapping[str, Any],
    after_rule: bool = False,
) -> Line:
    found = marks(cells, [not entry.control for entry in shown])
    return Line(stub, tuple(cells), tuple(found), keys, after_rule)

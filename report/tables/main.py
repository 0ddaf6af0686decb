"""The main table: methods by rows, OA, AA and kappa at every number of shots by columns."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from report.captions import failures, inconsistencies, shots_text, sign_notes, table_caption
from report.frame import Entry, View
from report.statistics.paired import Highest
from report.summary import summarise_all
from report.tables.marks import mark_notes, marks, run_notes
from report.tables.table import Column, Line, Table

SHOWN = {"oa": "OA", "aa": "AA", "kappa": "κ × 100"}
WHAT = "Overall accuracy (OA), average accuracy (AA) and Cohen's kappa (κ × 100) in %"


def main_table(view: View) -> Table:
    """Return the main table of a scene under a protocol."""
    columns = tuple(
        Column(shots_text(shots), label, {"shots": shots, "metric": metric})
        for shots in view.grid.shots
        for metric, label in SHOWN.items()
    )
    # (entries, columns, seeds), columns as above.
    values = _by_column(view, SHOWN)
    errors = _by_column(view, [f"{metric}_error" for metric in SHOWN])
    _, width, seeds = values.shape
    cells = summarise_all(values.reshape(-1, seeds), seeds, errors.reshape(-1, seeds))
    competes = [not entry.control for entry in view.entries]
    found = [marks(values[:, place], competes) for place in range(width)]
    lines = tuple(
        Line(
            stub=(entry.name + entry.signs,),
            cells=tuple(cells[place * width : (place + 1) * width]),
            marks=tuple(column[place] for column, _ in found),
            keys=entry_keys(entry),
            after_rule=after,
        )
        for place, (entry, after) in enumerate(with_rule(view.entries))
    )
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-main",
        caption=table_caption(view, WHAT),
        stub=("Method",),
        columns=columns,
        lines=lines,
        notes=tuple(all_notes(view, lines, [compared for _, compared in found], "per column")),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _by_column(view: View, metrics: Iterable[str]) -> np.ndarray:
    """Return (entries, shots * metrics, seeds)."""
    stacked = np.stack([view.scores(metric) for metric in metrics], axis=2)
    return stacked.reshape(len(view.entries), -1, len(view.study.seeds))


def with_rule(entries: Iterable[Entry]) -> Iterable[tuple[Entry, bool]]:
    """Yield entries with whether a rule sets them apart from those above: the first control, if any stands above."""
    above: Entry | None = None
    for entry in entries:
        yield entry, above is not None and entry.control and not above.control
        above = entry


def all_notes(view: View, lines: tuple[Line, ...], compared: list[Highest | None], direction: str) -> list[str]:
    """Return the notes below a table of accuracies; `direction` is "per column" or "per row"."""
    controls = any(entry.control for entry in view.entries)
    return [*mark_notes(compared, direction, controls), *run_notes(lines), *view_notes(view)]


@lru_cache(maxsize=64)
def view_notes(view: View) -> tuple[str, ...]:
    """Return what every table of a view must say: footnote signs, failures, what cannot be compared."""
    return (*sign_notes(view.entries), *failures(view), *inconsistencies(view))


def entry_keys(entry: Entry) -> dict[str, Any]:
    """Return what names a method in the CSV file."""
    method, variant = entry.row
    return {"method": method, "variant": variant, "title": entry.name, "control": entry.control}

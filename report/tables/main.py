"""The main table: methods by rows, OA, AA and kappa at every number of shots by columns."""

from __future__ import annotations

from typing import Any

from report.captions import failures, inconsistencies, shots_text, sign_notes, table_caption
from report.frame import Entry, View, at, of_entry
from report.summary import Summary
from report.tables.table import Column, Line, Table, mark_notes, marks

SHOWN = {"oa": "OA", "aa": "AA", "kappa": "κ × 100"}
WHAT = "Overall accuracy (OA), average accuracy (AA) and Cohen's kappa (κ × 100) in %"


def main_table(view: View) -> Table:
    """Return the main table of a scene under a protocol."""
    columns = tuple(
        Column(shots_text(shots), label, {"shots": shots, "metric": metric})
        for shots in view.grid.shots
        for metric, label in SHOWN.items()
    )
    lines = _lines(view, columns)
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-main",
        caption=table_caption(view, WHAT),
        stub=("Method",),
        columns=columns,
        lines=lines,
        notes=tuple(all_notes(view, lines, "per column")),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def all_notes(view: View, lines: tuple[Line, ...], direction: str) -> list[str]:
    """Return the notes below a table; `direction` is "per column" or "per row"."""
    return [
        *mark_notes(lines, direction),
        *sign_notes(view.entries),
        *failures(view),
        *inconsistencies(view.runs),
    ]


def entry_keys(entry: Entry) -> dict[str, Any]:
    """Return what names a method in the CSV file."""
    method, variant = entry.row
    return {"method": method, "variant": variant, "title": entry.name, "control": entry.control}


def _lines(view: View, columns: tuple[Column, ...]) -> tuple[Line, ...]:
    shown = view.entries
    cells = [_cells(view, entry, columns) for entry in shown]
    competes = [not entry.control for entry in shown]
    by_column = [marks(column, competes) for column in zip(*cells, strict=True)]
    first_control = next((place for place, entry in enumerate(shown) if entry.control), 0)
    return tuple(
        Line(
            stub=(entry.name + entry.signs,),
            cells=cells[place],
            marks=tuple(column[place] for column in by_column),
            keys=entry_keys(entry),
            after_rule=0 < place == first_control,
        )
        for place, entry in enumerate(shown)
    )


def _cells(view: View, entry: Entry, columns: tuple[Column, ...]) -> tuple[Summary, ...]:
    runs, expected = of_entry(view.runs, entry), len(view.study.seeds)
    by_shots = {shots: runs[runs["shots"] == shots] for shots in view.grid.shots}
    return tuple(at(by_shots[column.keys["shots"]], column.keys["metric"], expected) for column in columns)

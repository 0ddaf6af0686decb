"""The numbers behind a table as CSV, at full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from report.statistics.intervals import Interval
from report.summary import Summary
from report.tables.table import Line, Table, Words


def numbers(table: Table) -> str:
    """Return a row per cell where all cells are means over seeds; a row per line, a column per column, elsewhere."""
    means = all(isinstance(cell, Summary) for line in table.lines for cell in line.cells)
    rows = [row for line in table.lines for row in (_long(table, line) if means else [_wide(table, line)])]
    heads = dict.fromkeys(key for row in rows for key in row) or [
        *table.keys,
        *(column.name for column in table.columns),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(heads), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _long(table: Table, line: Line) -> Iterator[dict[str, Any]]:
    for column, (cell, mark) in zip(table.columns, line.marked, strict=True):
        assert isinstance(cell, Summary)
        spans = {**_ends("seeds", cell.seeds), **_ends("pixels", cell.pixels)}
        found = {**cell.numbers, "runs_expected": cell.expected}
        yield {**table.keys, **line.keys, **column.keys, **found, **spans, "mark": mark}


def _ends(name: str, span: Interval | None) -> dict[str, float | None]:
    return {f"{name}_low": span.low if span else None, f"{name}_high": span.high if span else None}


def _wide(table: Table, line: Line) -> dict[str, Any]:
    row = {**table.keys, **line.keys}
    if not line.keys:
        row |= dict(zip(map(str.lower, table.stub), line.stub, strict=True))
    for column, cell in zip(table.columns, line.cells, strict=True):
        if not isinstance(cell, Words):
            row |= {f"{column.name}_{key}": value for key, value in cell.numbers.items()}
        elif isinstance(cell.plain, Interval):
            row |= _ends(column.name, cell.plain)
        else:
            row[column.name] = cell.plain
    return row

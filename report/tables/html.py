"""A table as HTML: a document that opens by itself, whose body the page shows as it is.

What a cell's runs have in common stands in `data-runs` attributes (JSON, by columns of `runs.csv`) of the table, of its
rows and of its columns; together they name the runs behind a cell. `data-value` is a cell's number, for sorting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from report.checks import IDENTITY
from report.statistics.intervals import Interval
from report.summary import Summary
from report.tables.table import TIED, Cell, Column, Line, Mark, Table, Words

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1rem; }}
.caption {{ max-width: 60rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; border-block: 2px solid; }}
th, td {{ padding: .15rem .5rem; white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }}
th[scope=row] {{ text-align: left; font-weight: normal; }}
.words {{ text-align: left; white-space: normal; }}
thead, tbody + tbody {{ border-top: 1px solid; }}
</style>
</head>
<body>
"""
_TAIL = "</body>\n</html>\n"


def html(table: Table) -> str:
    """Return the document of a table."""
    lines = list(table.lines)
    places = [place for place, line in enumerate(lines) if line.after_rule and place]
    bodies = [lines[start:end] for start, end in zip([0, *places], [*places, len(lines)], strict=True)]
    name = escape(table.label)
    parts = [
        f'<p class="caption" id="{name}-caption">{escape(table.caption)}</p>',
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{name}-caption">',
        f'<table id="{name}" aria-labelledby="{name}-caption"{_runs(table.keys)}>',
        "".join(f"<col{_runs(keys)}/>" for keys in (*({} for _ in table.stub), *(c.keys for c in table.columns))),
        f"<thead>\n{_head(table)}\n</thead>",
        *("\n".join(["<tbody>", *(_row(line, table.columns) for line in body), "</tbody>"]) for body in bodies),
        "</table>",
        "</div>",
    ]
    notes = "".join(f"<li>{escape(note)}</li>\n" for note in table.notes)
    body = "\n".join([*parts, f'<ul class="notes">\n{notes}</ul>' if notes else ""])
    return f"{_HEAD.format(title=name)}{body}\n{_TAIL}"


def body_of(document: str) -> str:
    """Return what stands between the head and the end of such a document."""
    return document.partition("<body>\n")[2].removesuffix(_TAIL)


def _runs(keys: Mapping[str, Any]) -> str:
    """Return the attribute that says which runs are meant, or "" where keys name none."""
    chosen = {key: value for key, value in keys.items() if key in IDENTITY}
    return f" data-runs='{escape(json.dumps(chosen))}'" if chosen else ""


def _head(table: Table) -> str:
    grouped = any(column.group for column in table.columns)
    tall = ' rowspan="2"' if grouped else ""
    stubs = "".join(f'<th scope="col"{tall}>{escape(text)}</th>' for text in table.stub)
    labels = "".join(f'<th scope="col"{_kind(column)}>{escape(column.label)}</th>' for column in table.columns)
    if not grouped:
        return f"<tr>{stubs}{labels}</tr>"
    groups = ((group, len(list(found))) for group, found in groupby(column.group for column in table.columns))
    spans = "".join(f'<th scope="colgroup" colspan="{size}">{escape(group)}</th>' for group, size in groups)
    return f"<tr>{stubs}{spans}</tr>\n<tr>{labels}</tr>"


def _row(line: Line, columns: Sequence[Column]) -> str:
    stubs: Iterable[str] = (f'<th scope="row">{escape(text)}</th>' for text in line.stub)
    cells = (_cell(*marked, column) for marked, column in zip(line.marked, columns, strict=True))
    return f"<tr{_runs(line.keys)}>{''.join(stubs)}{''.join(cells)}</tr>"


def _cell(cell: Cell, mark: Mark, column: Column) -> str:
    if isinstance(cell, Words):
        number = cell.plain.low if isinstance(cell.plain, Interval) else cell.plain
        value = "" if isinstance(number, str) else f' data-value="{number:.6g}"'
        return f"<td{_kind(column)}{value}>{escape(cell.text)}</td>"
    runs = "" if cell.complete else f" <small>({cell.n} of {cell.expected})</small>"
    if cell.centre is None:
        return f"<td>–{runs}</td>"
    text, spread = f"{cell.centre:.{column.decimals}f}", cell.spread(column.decimals)
    marked = {"best": f"<strong>{text}</strong>", "highest": f"<u>{text}</u>", "tied": f"{text} {TIED}", "": text}[mark]
    small = f" <small>{spread}</small>" if spread else ""
    hint = _intervals(cell) if isinstance(cell, Summary) else ""
    return f'<td data-value="{cell.centre:.6g}"{hint}>{marked}{small}{runs}</td>'


def _kind(column: Column) -> str:
    """Return the attribute of columns of words, which stand to the left and go on in further lines."""
    return ' class="words"' if column.words else ""


def _intervals(cell: Summary) -> str:
    """Return the hint of a cell: its intervals, each named by what it is over."""
    found = [f"{span.low:.2f} to {span.high:.2f} over {span.over}" for span in (cell.seeds, cell.pixels) if span]
    return f' title="95 %: {"; ".join(found)}"' if found else ""

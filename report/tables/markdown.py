"""A table as Markdown."""

from __future__ import annotations

from tabulate import tabulate

from report.tables.table import TIED, Cell, Column, Mark, Table, Words


def markdown(table: Table) -> str:
    """Return the table with its caption above and its notes below."""
    heads = [*table.stub, *(", ".join(filter(None, (column.group, column.label))) for column in table.columns)]
    rows: list[list[str]] = []
    for place, line in enumerate(table.lines):
        if line.after_rule and place:
            # Markdown has no rules within a table: an empty row sets what follows apart.
            rows.append([""] * len(heads))
        cells = [_cell(*marked, column) for marked, column in zip(line.marked, table.columns, strict=True)]
        rows.append([*map(_escape, line.stub), *cells])
    sides = ["left" if column.words else "right" for column in table.columns]
    align = ["left", *["right"] * (len(table.stub) - 1), *sides]
    body = tabulate(rows, list(map(_escape, heads)), "pipe", colalign=align, disable_numparse=True)
    notes = "".join(f"- {_escape(note)}\n" for note in table.notes)
    return "\n\n".join(filter(None, (_escape(table.caption), body, notes))).rstrip("\n") + "\n"


def _cell(cell: Cell, mark: Mark, column: Column) -> str:
    if isinstance(cell, Words):
        return _escape(cell.text)
    runs = "" if cell.complete else f"{cell.n} of {cell.expected} runs"
    if cell.centre is None:
        return runs
    text = f"{cell.centre:.{column.decimals}f} {cell.spread(column.decimals)}".rstrip()
    marked = {"best": f"**{text}**", "highest": f"<u>{text}</u>", "tied": f"{text} {TIED}", "": text}[mark]
    return f"{marked} ({runs})" if runs else marked


def _escape(text: str) -> str:
    for character in ("\\", "|", "*", "_", "<", "`"):
        text = text.replace(character, f"\\{character}")
    return text

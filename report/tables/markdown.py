"""A table as Markdown."""

from __future__ import annotations

from tabulate import tabulate

from report.summary import Summary
from report.tables.table import DECIMALS, Mark, Table


def markdown(table: Table) -> str:
    """Return the table with its caption above and its notes below."""
    heads = [*table.stub, *(", ".join(filter(None, (column.group, column.label))) for column in table.columns)]
    rows: list[list[str]] = []
    for line in table.lines:
        if line.after_rule:
            # Markdown has no rules within a table: an empty row sets what follows apart.
            rows.append([""] * len(heads))
        numbers = [_cell(cell, mark) for cell, mark in zip(line.cells, line.marks, strict=True)]
        rows.append([*map(_escape, line.stub), *numbers])
    align = ["left"] + ["right"] * (len(heads) - 1)
    body = tabulate(rows, list(map(_escape, heads)), "pipe", colalign=align, disable_numparse=True)
    notes = "".join(f"- {_escape(note)}\n" for note in table.notes)
    return "\n\n".join(filter(None, (_escape(table.caption), body, notes))).rstrip("\n") + "\n"


def _cell(cell: Summary, mark: Mark) -> str:
    runs = "" if cell.complete else f"{cell.n} of {cell.expected} runs"
    if cell.mean is None:
        return runs
    text = f"{cell.mean:.{DECIMALS}f}" + ("" if cell.std is None else f" ± {cell.std:.{DECIMALS}f}")
    marked = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[mark]
    return f"{marked} ({runs})" if runs else marked


def _escape(text: str) -> str:
    for character in ("\\", "|", "*", "_", "<", "`"):
        text = text.replace(character, f"\\{character}")
    return text

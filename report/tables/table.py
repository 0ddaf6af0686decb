"""A table between numbers and text: rows and columns of summaries, with marks for the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from report.summary import Summary

Mark = Literal["best", "second", ""]
DECIMALS = 2


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        group: heading over several columns, or "".
        label: its own heading, with footnote signs.
        keys: what the column stands for, in the CSV file.
    """

    group: str
    label: str
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of numbers.

    Attributes:
        stub: texts before the numbers.
        cells: a summary per column.
        marks: a mark per column.
        keys: what the row stands for, in the CSV file.
        after_rule: whether a rule sets the row apart from those above.
    """

    stub: tuple[str, ...]
    cells: tuple[Summary, ...]
    marks: tuple[Mark, ...]
    keys: Mapping[str, Any]
    after_rule: bool = False


@dataclass(frozen=True)
class Table:
    """A table, ready to be written as Markdown, LaTeX, CSV or HTML.

    Attributes:
        label: name for cross-references.
        caption: one paragraph.
        stub: headings of the texts before the numbers.
        columns: the columns of numbers.
        lines: the rows.
        notes: one line each, below the table.
        keys: what the whole table stands for, in the CSV file.
    """

    label: str
    caption: str
    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    keys: Mapping[str, Any]


def marks(cells: Sequence[Summary], competes: Sequence[bool]) -> list[Mark]:
    """Mark the best and the second best mean, as printed; ties share a mark, and two that are best leave no second.

    A mean over fewer runs than others have is not compared: it lacks the same splits. Nothing is marked where fewer
    than two compete.
    """
    shown = {
        place: round(cell.mean, DECIMALS)
        for place, (cell, allowed) in enumerate(zip(cells, competes, strict=True))
        if allowed and cell.mean is not None
    }
    most = max((cells[place].n for place in shown), default=0)
    shown = {place: value for place, value in shown.items() if cells[place].n == most}
    found: list[Mark] = [""] * len(cells)
    if len(shown) < 2:
        return found
    ranked = sorted(shown.values(), reverse=True)
    for place, value in shown.items():
        if value == ranked[0]:
            found[place] = "best"
        elif value == ranked[1]:
            found[place] = "second"
    return found


def mark_notes(table_lines: Sequence[Line], direction: str) -> list[str]:
    """Explain bold, underline and "k of N" where they occur; `direction` is "per column" or "per row"."""
    cells = [cell for line in table_lines for cell in line.cells]
    notes = []
    if any(mark for line in table_lines for mark in line.marks):
        notes.append(f"Best mean {direction} bold, second underlined; controls do not count.")
    if any(not cell.complete for cell in cells):
        notes.append("k of N runs: the others are missing or failed; such a mean is not compared with complete ones.")
    return notes

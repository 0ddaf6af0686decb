"""A table between numbers and text: rows and columns of summaries and words, with marks for the best."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from report.statistics.intervals import Interval
from report.summary import Summary, Typical

# "best" only where a test supports the highest mean against all others; else it is "highest" and the others "tied".
Mark = Literal["best", "highest", "tied", ""]
TIED = "≈"
DECIMALS = 2


@dataclass(frozen=True)
class Words:
    """A cell of words, or of numbers that are not a mean over seeds.

    Attributes:
        text: as it is printed.
        value: what the CSV file holds and the page sorts by; None where the text serves.
    """

    text: str
    value: float | str | Interval | None = None

    @property
    def plain(self) -> float | str | Interval:
        """The value, or else the text."""
        return self.text if self.value is None else self.value


Cell = Summary | Typical | Words


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        group: heading over several columns, or "".
        label: its own heading, with footnote signs.
        keys: what the column stands for, in the CSV file.
        decimals: of means, medians and what spreads about them.
        words: whether it holds words, which stand to the left.
    """

    group: str
    label: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    decimals: int = DECIMALS
    words: bool = False

    @property
    def name(self) -> str:
        """Group and label as one name in the CSV file: "2_shots_oa"."""
        return re.sub(r"[^a-z0-9]+", "_", f"{self.group} {self.label}".lower()).strip("_")


@dataclass(frozen=True)
class Line:
    """A row of cells.

    Attributes:
        stub: texts before the cells.
        cells: a cell per column.
        marks: a mark per column, or none at all.
        keys: what the row stands for, in the CSV file.
        after_rule: whether a rule sets the row apart from those above, if there are any.
    """

    stub: tuple[str, ...]
    cells: tuple[Cell, ...]
    marks: tuple[Mark, ...] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    after_rule: bool = False

    @property
    def marked(self) -> Iterator[tuple[Cell, Mark]]:
        """Cells with their marks."""
        none: list[Mark] = ["" for _ in self.cells]
        return zip(self.cells, self.marks or none, strict=True)


@dataclass(frozen=True)
class Table:
    """A table, ready to be written as Markdown, LaTeX, CSV or HTML.

    Attributes:
        label: name for cross-references.
        caption: one paragraph.
        stub: headings of the texts before the cells.
        columns: the columns of cells.
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

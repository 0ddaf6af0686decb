"""The table of intervals: overall accuracy with its 95 % interval over seeds, and the one over test pixels."""

from __future__ import annotations

from report.captions import shots_text, table_caption
from report.frame import View
from report.statistics.intervals import RESAMPLES
from report.summary import Summary, summarise_all
from report.tables.main import entry_keys, view_notes, with_rule
from report.tables.marks import coverage_notes
from report.tables.table import Cell, Column, Line, Table
from report.tables.words import interval, number


def intervals_table(view: View) -> Table:
    """Return the table of both intervals of a scene under a protocol."""
    values, errors = view.scores("oa"), view.scores("oa_error")
    seeds = len(view.study.seeds)
    cells = summarise_all(values.reshape(-1, seeds), seeds, errors.reshape(-1, seeds))
    width = len(view.grid.shots)
    lines = tuple(
        Line(
            (entry.name + entry.signs,),
            tuple(cell for one in cells[place * width : (place + 1) * width] for cell in _cells(one)),
            keys=entry_keys(entry),
            after_rule=after,
        )
        for place, (entry, after) in enumerate(with_rule(view.entries))
    )
    what = "Overall accuracy in % with 95 % intervals, over seeds and over test pixels"
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-intervals",
        caption=table_caption(view, what),
        stub=("Method",),
        columns=tuple(
            Column(shots_text(shots), label, {"shots": shots})
            for shots in view.grid.shots
            for label in ("OA", "seeds", "pixels")
        ),
        lines=lines,
        notes=(*_notes(cells), *view_notes(view)),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _cells(one: Summary) -> tuple[Cell, ...]:
    return number(one.mean), interval(one.seeds), interval(one.pixels)


def _notes(cells: list[Summary]) -> list[str]:
    return [
        f"Seeds: what another draw of seeds and splits would do; BCa bootstrap of the mean, {RESAMPLES:,} resamples.",
        "Pixels: what other test pixels would do to these fits; they count as independent, which neighbours are not: "
        "the true interval is wider.",
        *coverage_notes(cell.n for cell in cells),
    ]

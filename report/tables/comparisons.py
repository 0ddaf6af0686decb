"""The table of comparisons: the highest mean against every other method, over the splits that both met."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from report.captions import table_caption
from report.frame import View
from report.statistics.paired import ALPHA, Comparison, Highest, highest, pairs_needed
from report.tables.main import entry_keys, view_notes
from report.tables.marks import coverage_notes
from report.tables.table import Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number, p_value

COLUMNS = (
    Column("", "Shots"),
    Column("", "Verdict", words=True),
    Column("", "Difference"),
    Column("", "95 % interval"),
    Column("", "Pairs"),
    Column("", "p"),
    Column("", "p (Holm)"),
    Column("", "Could show"),
)


def comparisons_table(view: View) -> Table:
    """Return the comparisons of a scene under a protocol."""
    compete = np.array([not entry.control for entry in view.entries])
    values = np.where(compete[:, None, None], view.scores("oa"), np.nan)
    found = {shots: highest(values[:, at], intervals=True) for at, shots in enumerate(view.grid.shots)}
    compared = {shots: best for shots, best in found.items() if best is not None}
    lines = tuple(line for shots, best in compared.items() for line in _against(view, shots, best))
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-comparisons",
        caption=table_caption(
            view, "Difference in overall accuracy (points) of the highest mean to every other method"
        ),
        stub=("Highest, then against",),
        columns=COLUMNS,
        lines=lines,
        notes=(*NOTES, *coverage_notes((best.pairs for best in compared.values()), "pairs"), *view_notes(view)),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


NOTES = (
    f"p: exact two-sided Wilcoxon signed-rank test over splits that both met; Holm: corrected over all comparisons at "
    f"the same shots; supported: at most {ALPHA:.0%}.",
    "95 % interval: BCa bootstrap of the mean difference over seeds.",
    "Could show: smallest true difference that so many pairs of such spread find with 80 % power (paired t test, 5 %, "
    "uncorrected).",
    "k pairs, n needed: so few cannot be significant, whatever the difference.",
    "Methods that lack a split which another met at these shots are not compared.",
)


def verdict(found: Comparison) -> str:
    """Return what a comparison tells, with the number of pairs where they are too few."""
    if found.significant:
        return "higher" if found.difference > 0 else "lower"
    if not found.decidable:
        return f"{found.pairs} pairs, {pairs_needed(found.family)} needed"
    return "tie"


def _against(view: View, shots: int, best: Highest) -> Iterator[Line]:
    """Yield the highest mean, then every other method against it."""
    first = view.entries[best.place]
    keys = {"shots": shots, "highest": first.name}
    blank = (NOTHING,) * (len(COLUMNS) - 2)
    cells: tuple[Words, ...] = (Words(str(shots), shots), Words(f"highest: {best.mean:.2f}", "highest"), *blank)
    yield Line((first.name + first.signs,), cells, keys={**keys, **entry_keys(first)}, after_rule=True)
    for place, found in best.against.items():
        entry = view.entries[place]
        cells = (
            Words(str(shots), shots),
            Words(verdict(found)),
            number(found.difference, "+.2f"),
            interval(found.interval),
            Words(str(found.pairs), found.pairs),
            p_value(found.p),
            p_value(found.corrected),
            number(found.detectable, ".1f"),
        )
        yield Line((entry.name + entry.signs,), cells, keys={**keys, **entry_keys(entry)})

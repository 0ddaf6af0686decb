"""A sweep: windows by rows, mask ratios by columns."""

from __future__ import annotations

from collections.abc import Iterator

from report.captions import table_caption
from report.frame import View
from report.summary import summarise
from report.tables.main import entry_keys, view_notes
from report.tables.marks import run_notes
from report.tables.table import Cell, Column, Line, Table
from report.tables.words import NOTHING


def sweep_table(view: View, name: str) -> Table:
    """Return the overall accuracy at every window and mask ratio of a sweep, of methods and shots below each other."""
    lines = tuple(_lines(view))
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-sweep-{name}",
        caption=table_caption(view, f"Overall accuracy in % at every window and mask ratio of the sweep {name}"),
        stub=("Method", "Shots", "Window"),
        columns=tuple(Column("Mask ratio", f"{ratio:g}", {"mask_ratio": ratio}) for ratio in view.grid.mask_ratios),
        lines=lines,
        notes=(
            "Nothing is marked: a setting chosen by these numbers would be chosen on test pixels.",
            *run_notes(lines),
            *view_notes(view),
        ),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _lines(view: View) -> Iterator[Line]:
    axes = ["method", "variant", "shots", "window", "mask_ratio"]
    found = {key: group.tolist() for key, group in view.good.groupby(axes, dropna=False)["oa"]}
    seeds = len(view.study.seeds)
    for entry in view.entries:
        own = view.runs[(view.runs["method"] == entry.row[0]) & (view.runs["variant"] == entry.row[1])]
        windows = view.grid.windows if own.empty or own["window"].notna().any() else (None,)
        has_ratio = own.empty or own["mask_ratio"].notna().any()
        for at, (shots, window) in enumerate((s, w) for s in view.grid.shots for w in windows):
            cells: list[Cell] = []
            for ratio in view.grid.mask_ratios:
                key = (*entry.row, shots, float("nan") if window is None else window, ratio)
                cells.append(summarise(found.get(key, []), seeds) if has_ratio else NOTHING)
            stub = (entry.name + entry.signs, str(shots), "–" if window is None else str(window))
            keys = {**entry_keys(entry), "shots": shots, "window": window}
            yield Line(stub, tuple(cells), keys=keys, after_rule=at == 0)

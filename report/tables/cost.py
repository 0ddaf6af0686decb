"""The table of costs: parameters, seconds and memory of every method, at the largest number of shots."""

from __future__ import annotations

from report.captions import shots_text, table_caption
from report.frame import View, of_entry
from report.summary import Typical, typical
from report.tables.main import entry_keys, view_notes, with_rule
from report.tables.marks import run_notes
from report.tables.table import Cell, Column, Line, Table
from report.tables.words import NOTHING, number

ENERGY = "energy_joules"
# Column of runs.csv: heading, decimals.
MEASURED = {
    "pretrain_seconds": ("Stage 1 (s)", 1),
    "fit_seconds": ("Fit (s)", 2),
    "predict_seconds": ("Predict (s)", 2),
    "peak_memory_mb": ("Memory (MB)", 0),
    ENERGY: ("Energy (J)", 0),
}


def cost_table(view: View) -> Table:
    """Return what every method costs on a scene under a protocol."""
    shots = view.grid.shots[-1]
    view = view.at_shots(shots)
    # Few devices tell their energy; a column of dashes would say nothing.
    shown = {name: what for name, what in MEASURED.items() if name != ENERGY or view.good[name].notna().any()}
    measured = {column: view.scores(column)[:, 0] for column in shown}
    expected = len(view.study.seeds)
    lines = []
    for place, (entry, after) in enumerate(with_rule(view.entries)):
        runs = of_entry(view.good, entry)
        count = runs["parameters"].mean() if len(runs) else None
        speed = (runs["test_pixels"] / runs["predict_seconds"]).median() if len(runs) else None
        cells: list[Cell] = [number(count, ",.0f")]
        cells += [_measured(typical(values[place], expected), len(runs)) for values in measured.values()]
        cells.append(number(speed, ",.0f"))
        lines.append(Line((entry.name + entry.signs,), tuple(cells), keys=entry_keys(entry), after_rule=after))
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-cost",
        caption=table_caption(view, f"Cost of one run at {shots_text(shots)}", "median (least–most)"),
        stub=("Method",),
        columns=(
            Column("", "Parameters"),
            *(Column("", label, {"measured": name}, decimals) for name, (label, decimals) in shown.items()),
            Column("", "Pixels per s"),
        ),
        lines=tuple(lines),
        notes=(
            "Stage 1 is shared by all cells that start from the same checkpoint; fit and predict are of the run alone.",
            "One run may pay for what the others find made, such as a scene's features: in the most, not the median.",
            *_together(view),
            "Memory: of the process so far on a CPU, which libraries share; of the device during the run on a GPU.",
            *(["Energy: of fit and predict, with all that ran on the device beside."] if ENERGY in shown else []),
            *run_notes(lines),
            *view_notes(view),
        ),
        keys={"scene": view.scene, "protocol": view.protocol, "shots": shots},
    )


def _together(view: View) -> list[str]:
    most = view.good["seeds_together"].max() if len(view.good) else 1
    if most <= 1:
        return []
    return [f"Seeds are trained together, up to {most:.0f}: fit is a run's share of their time, memory that of all."]


def _measured(found: Typical, runs: int) -> Cell:
    """Return a dash where runs went well and had nothing to measure: no stage 1."""
    return NOTHING if runs and found.median is None else found

"""Methods over all scenes and shots of a protocol: mean ranks with their tests, interquartile mean, who beats whom."""

from __future__ import annotations

import numpy as np
import pandas as pd

from report.blocks import Blocks, blocks_of, not_ranked
from report.captions import seeds_text, sign_notes
from report.statistics.aggregate import Estimate, interquartile_mean, probability_of_improvement
from report.statistics.paired import ALPHA
from report.statistics.ranks import Ranks, ranks_over
from report.study import Study
from report.tables.main import entry_keys
from report.tables.table import Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number, p_value


def ranks_table(study: Study, runs: pd.DataFrame, protocol: str) -> Table:
    """Return methods by their mean rank over scenes and shots under a protocol."""
    found = blocks_of(study, runs, protocol)
    ranks = ranks_over(found.runs.mean(axis=2)) if found.entries else None
    order = np.argsort(ranks.average, kind="stable") if ranks else range(len(found.entries))
    lines = tuple(_line(found, ranks, int(place), int(order[0])) for place in order)
    return Table(
        label=f"tab:{protocol}-ranks",
        caption=f"{study.title}. Overall accuracy over blocks (a scene at a number of shots; here {len(found.names)}), "
        f"{protocol} protocol, {seeds_text(study.seeds)}.",
        stub=("Method",),
        columns=(
            Column("", "Mean rank"),
            Column("", "p to first (Nemenyi)"),
            Column("", "Interquartile mean"),
            Column("IQM", "95 % interval"),
            Column("", "First beats it"),
            Column("P", "95 % interval"),
            Column("", "Verdict", words=True),
        ),
        lines=lines,
        notes=tuple(_notes(found, ranks)),
        keys={"protocol": protocol},
    )


def _line(found: Blocks, ranks: Ranks | None, place: int, first: int) -> Line:
    entry, own = found.entries[place], found.runs[:, place]
    middle = interquartile_mean(list(own))
    beaten: Estimate | None = None
    if place != first:
        beaten = probability_of_improvement(list(found.runs[:, first]), list(own))
    cells = (
        number(float(ranks.average[place]) if ranks else None),
        p_value(ranks.nemenyi(first, place)) if ranks and place != first else NOTHING,
        number(middle.value),
        interval(middle.interval),
        number(beaten.value if beaten else None),
        interval(beaten.interval if beaten else None, ".2f"),
        Words(_verdict(ranks, place, first)),
    )
    return Line((entry.name + entry.signs,), cells, keys=entry_keys(entry))


def _verdict(ranks: Ranks | None, place: int, first: int) -> str:
    if ranks is None:
        return "not ranked"
    if place == first:
        return "lowest mean rank"
    apart = ranks.average[place] - ranks.average[first] > ranks.critical_difference
    return "ranks lower" if ranks.significant and apart else "not told apart from the first"


def _f_test(ranks: Ranks) -> str:
    if ranks.p_iman_davenport == 0.0:
        return "all blocks rank alike, of which the F test makes nothing"
    return f"as an F test (Iman and Davenport): p = {ranks.p_iman_davenport:.3g}"


def _notes(found: Blocks, ranks: Ranks | None) -> list[str]:
    notes = []
    if ranks is None:
        notes.append(not_ranked(found))
    else:
        notes += [
            f"Friedman's test over {ranks.blocks} blocks and {len(found.entries)} methods, by permutation: "
            f"p = {ranks.p:.3g}; {_f_test(ranks)}.",
            f"Nemenyi: mean ranks that differ by more than {ranks.critical_difference:.2f} differ at {ALPHA:.0%}. "
            "Blocks of one scene share its pixels and are not independent, so that p is smaller than it should be.",
        ]
    notes += [
        "Interquartile mean: of the middle half of all runs. First beats it: how likely a run of the first method here "
        "beats a run of this one, a tie counting half. Intervals: bootstrap that draws the seeds of every block.",
        f"Blocks: {', '.join(found.names) or 'none'}.",
    ]
    if found.left_out:
        notes.append(f"Left out, as runs are missing: {', '.join(found.left_out)}.")
    return [*notes, *sign_notes(found.entries)]

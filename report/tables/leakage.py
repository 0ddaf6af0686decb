"""What random splits leak: accuracy near training pixels and elsewhere, and what is left of it under `strict`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from diffclip.study.tables import APART, LEAKY
from report.captions import failures, inconsistencies, shots_text, sign_notes, table_caption
from report.frame import View, entries, of_entry, view
from report.predictions import near_shares, read_checked
from report.statistics.unpaired import welch
from report.summary import summarise
from report.tables.main import entry_keys, view_notes, with_rule
from report.tables.marks import run_notes
from report.tables.table import Cell, Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number

RANKED = "Rank"


def leakage_table(view: View) -> Table:
    """Return how near training pixels methods fare, and how elsewhere, under random splits."""
    checked = read_checked(view.study)
    shares = None if checked is None else near_shares(view, checked)
    lines = tuple(
        Line((entry.name + entry.signs,), tuple(_near_cells(view, shares, place)), (), entry_keys(entry), after)
        for place, (entry, after) in enumerate(with_rule(view.entries))
    )
    labels = ("Overlap %", "OA near", "OA elsewhere", "Difference")
    missing = [] if checked is not None else ["Not told: 'python -m report check' has not read the predictions yet."]
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-leakage",
        caption=table_caption(
            view, f"{_near_pixels(view, shares)}Overall accuracy in % near training pixels and elsewhere"
        ),
        stub=("Method",),
        columns=tuple(
            Column(shots_text(shots), label, {"shots": shots}) for shots in view.grid.shots for label in labels
        ),
        lines=lines,
        notes=(
            *missing,
            f"Near: test pixels whose window of {view.study.window} × {view.study.window} pixels overlaps that of a "
            "training pixel; the same pixels for all methods.",
            "Overlap: share of test windows that overlap a training window, by the method's own reach. A method that "
            "sees single pixels shows what nearness alone does: nearby pixels are alike.",
            "k of N runs: the others are missing or failed, or their splits leave no test pixel on one side.",
            *view_notes(view),
        ),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _near_pixels(view: View, shares: dict[str, np.ndarray] | None) -> str:
    if shares is None or np.isnan(shares["share"]).all():
        return ""
    means = [
        f"{np.nanmean(at):.0f} % at {shots_text(shots)}"
        for shots, at in zip(view.grid.shots, np.moveaxis(shares["share"], 1, 0), strict=True)
        if not np.isnan(at).all()
    ]
    return f"Near training pixels lie {', '.join(means)} of the test pixels. "


def _near_cells(view: View, shares: dict[str, np.ndarray] | None, place: int) -> Iterator[Cell]:
    runs = of_entry(view.good, view.entries[place])
    expected = len(view.study.seeds)
    for at, shots in enumerate(view.grid.shots):
        here = runs[runs["shots"] == shots]
        told = here["overlap_percent"].mean()
        yield Words("scene") if len(here) and np.isnan(told) else number(told, ".1f")
        if shares is None:
            yield from (NOTHING, NOTHING, NOTHING)
            continue
        near, away = shares["near"][place, at], shares["away"][place, at]
        yield from (summarise(values, expected) for values in (near, away, near - away))


def drop_table(strict: View) -> Table:
    """Return what is left of every method's accuracy when training and test windows are kept apart."""
    leaky = view(strict.study, strict.all_runs, strict.scene, LEAKY)
    values = [shown.scores("oa") for shown in (leaky, strict)]
    ranks = [_ranks(under, found) for under, found in zip((leaky, strict), values, strict=True)]
    shown = entries(strict.all_runs, strict.grid.rows, pd.concat([leaky.runs, strict.runs]))
    lines = tuple(
        Line(
            (entry.name + entry.signs,),
            tuple(_drop_cells(strict, values, ranks, place)),
            keys=entry_keys(entry),
            after_rule=after,
        )
        for place, (entry, after) in enumerate(with_rule(shown))
    )
    labels = (LEAKY, APART, "Drop", "95 % interval", RANKED)
    return Table(
        label=f"tab:{strict.scene}-{strict.protocol}-drop",
        caption=table_caption(strict, f"Overall accuracy in % under {LEAKY} and {APART}, the drop between them, ranks"),
        stub=("Method",),
        columns=tuple(
            Column(
                shots_text(shots), label, {"shots": shots} | ({"protocol": label} if label in (LEAKY, APART) else {})
            )
            for shots in strict.grid.shots
            for label in labels
        ),
        lines=lines,
        notes=(
            "The protocols draw different pixels, so the drop is not paired: its interval is Welch's, over seeds. "
            f"{APART} also draws training pixels from fewer places, which is harder by itself.",
            f"{RANKED}: by mean, under {LEAKY} → under {APART}; controls are not ranked.",
            *run_notes(lines),
            *sign_notes(shown),
            *failures(strict),
            *inconsistencies(strict),
        ),
        keys={"scene": strict.scene},
    )


def _ranks(shown: View, values: np.ndarray) -> np.ndarray:
    """Return (entries, shots) the ranks of means among methods; NaN for controls and where runs are missing."""
    from scipy.stats import rankdata

    competes = np.array([not entry.control for entry in shown.entries])
    means = np.where(competes[:, None], values.mean(axis=2), np.nan)
    return rankdata(-means, axis=0, nan_policy="omit")


def _drop_cells(shown: View, values: list[np.ndarray], ranks: list[np.ndarray], place: int) -> Iterator[Cell]:
    expected = len(shown.study.seeds)
    for at in range(len(shown.grid.shots)):
        leaky, strict = (found[place, at] for found in values)
        difference, span = welch(leaky, strict)
        yield from (summarise(leaky, expected), summarise(strict, expected))
        yield from (number(difference, "+.2f"), interval(span, "+.1f"))
        before, after = (found[place, at] for found in ranks)
        yield NOTHING if np.isnan(before + after) else Words(f"{before:g} → {after:g}")

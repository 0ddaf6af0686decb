"""Which methods a figure shows that has room for a few only."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from report.frame import Entry, View, at, of_entry

SUBJECT = "diffclip"


def few(view: View, runs: pd.DataFrame, most: int, drawn: pd.DataFrame | None = None) -> list[Entry]:
    """Return at most so many methods, by their mean OA over the runs; half of them variants of DiffCLIP if there are.

    In the order of the config; methods without a run that went well are left out.

    Args:
        view: whose rivals are chosen from.
        runs: those that went well; they decide the order.
        most: how many there is room for.
        drawn: those among them that the figure draws, by default all; methods without one are left out.
    """
    there = [entry for entry in view.rivals if len(of_entry(runs if drawn is None else drawn, entry))]
    means = {entry.row: at(of_entry(runs, entry), "oa", 1).mean or 0.0 for entry in there}
    ranked = sorted(there, key=lambda entry: -means[entry.row])
    subjects = [entry for entry in ranked if entry.row[0] == SUBJECT]
    others = [entry for entry in ranked if entry.row[0] != SUBJECT]
    half = max(most // 2, most - len(others))
    kept = subjects[:half]
    kept += others[: most - len(kept)]
    return [entry for entry in view.rivals if entry in kept]


def left_out(known: Sequence[Entry], shown: Sequence[Entry]) -> str:
    """Return the note that says that a figure shows a few of many, or "" where it shows all."""
    if len(shown) == len(known):
        return ""
    return (
        f"Shown: {len(shown)} of {len(known)} methods, by mean OA: up to half of them variants of DiffCLIP, "
        "then the best others."
    )

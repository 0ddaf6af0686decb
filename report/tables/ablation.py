"""Variants of a method beside the one that they depart from: what is changed, and what it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from report.captions import shots_text, table_caption
from report.frame import Entry, View, of_entry
from report.statistics.paired import ALPHA, Comparison, compare, pairs_needed, smallest_p
from report.summary import summarise
from report.tables.main import entry_keys, view_notes
from report.tables.marks import coverage_notes, run_notes
from report.tables.table import Cell, Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number

# The whole list of changes is in the CSV file.
LENGTH = 90
SUPPORTED = "*"


def ablation_table(view: View, variants: Mapping[str, tuple[str, ...]], kind: str, what: str) -> Table:
    """Return the variants of methods, each against the first variant of its method.

    Args:
        view: of the main grid.
        variants: by method, the first being the one that others are compared with.
        kind: name of the table.
        what: what its caption says is shown.
    """
    compared = {method: _compared(view, method, names) for method, names in variants.items()}
    lines = tuple(line for method, names in variants.items() for line in _block(view, method, names, compared[method]))
    pairs = (one.pairs for by_shots in compared.values() for others in by_shots for one in others)
    columns = [
        Column(shots_text(shots), label, {"shots": shots} if label == "OA" else {})
        for shots in view.grid.shots
        for label in ("OA", "difference", "95 % interval")
    ]
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-{kind}",
        caption=table_caption(view, f"{what}; differences to the first variant of each method"),
        stub=("Variant",),
        columns=(Column("", "Changed", words=True), *columns),
        lines=lines,
        notes=(*_notes(view, variants), *coverage_notes(pairs, "pairs"), *run_notes(lines), *view_notes(view)),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _notes(view: View, variants: Mapping[str, tuple[str, ...]]) -> list[str]:
    seeds, family = len(view.study.seeds), max((len(names) - 1 for names in variants.values()), default=1)
    notes = [
        "Difference: mean over splits that both met, in points; interval: BCa bootstrap of it over seeds.",
        f"{SUPPORTED}: supported by the exact Wilcoxon signed-rank test over {seeds} pairs, Holm-corrected over the "
        f"variants of a method at the same shots, {ALPHA:.0%}.",
    ]
    if seeds < pairs_needed(family):
        notes.append(
            f"{seeds} pairs cannot decide: the smallest p that they can reach is {smallest_p(seeds):.3g} before "
            f"correction for {family} comparisons; {pairs_needed(family)} pairs or more could."
        )
    return notes


def _places(view: View, method: str, variants: tuple[str, ...]) -> list[int]:
    by_row = {entry.row: place for place, entry in enumerate(view.entries)}
    return [by_row[method, variant] for variant in variants]


def _compared(view: View, method: str, variants: tuple[str, ...]) -> list[list[Comparison]]:
    """Return, by shots, the first variant against every other."""
    values = view.scores("oa")[_places(view, method, variants)]
    return [compare(at[0], at[1:]) for at in np.moveaxis(values, 1, 0)]


def _block(
    view: View, method: str, variants: tuple[str, ...], by_shots: Sequence[Sequence[Comparison]]
) -> Iterator[Line]:
    places = _places(view, method, variants)
    values = view.scores("oa")[places]
    options = [_options(view.runs, view.entries[place]) for place in places]
    for row, place in enumerate(places):
        entry = view.entries[place]
        changed = "reference" if row == 0 else _changes(options[0], options[row])
        cells: list[Cell] = [Words(changed if len(changed) <= LENGTH else changed[: LENGTH - 2] + " …", changed)]
        for at, compared in enumerate(by_shots):
            cells.append(summarise(values[row, at], len(view.study.seeds)))
            # A mean variant of the difference is the negative of reference minus variant.
            cells += _difference(compared[row - 1]) if row else (NOTHING, NOTHING)
        yield Line((entry.name + entry.signs,), tuple(cells), keys=entry_keys(entry), after_rule=row == 0)


def _difference(found: Comparison) -> tuple[Words, Words]:
    """Return variant minus reference, from a comparison of the reference with the variant."""
    sign = SUPPORTED if found.significant else ""
    difference = number(-found.difference, "+.2f")
    span = found.interval
    turned = None if span is None else type(span)(-span.high, -span.low, span.over)
    return Words(difference.text + sign, difference.value), interval(turned, "+.1f")


def _options(runs: pd.DataFrame, entry: Entry) -> dict[str, Any] | None:
    """Return the options that a variant's records give, or None without any."""
    found = of_entry(runs, entry)["options"]
    return json.loads(found.iloc[0]) if len(found) else None


def _changes(reference: Mapping[str, Any] | None, options: Mapping[str, Any] | None) -> str:
    """Return "pretrain scene → none, width 64 → 32" from the records' options."""
    if reference is None or options is None:
        return "not known: no record"
    keys = dict.fromkeys([*reference, *options])
    parts = [
        f"{key} {_shown(reference.get(key))} → {_shown(options.get(key))}"
        for key in keys
        if reference.get(key) != options.get(key)
    ]
    return ", ".join(parts) or "nothing"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

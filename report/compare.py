"""Two studies side by side, cell by cell: before and after a change, or what was published and mine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffclip.errors import UserError
from diffclip.files import write_atomically
from report.checks import IDENTITY
from report.frame import read_runs
from report.statistics.intervals import Interval, seed_interval
from report.statistics.paired import ALPHA, can_decide, holm, pairs_needed, signed_rank_p, smallest_p
from report.statistics.unpaired import welch
from report.study import Study, read_study
from report.tables import WRITERS
from report.tables.main import SHOWN
from report.tables.marks import coverage_notes
from report.tables.scorecard import scorecard_table
from report.tables.table import Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number, p_value

PUBLISHED = "published"
CELL = IDENTITY[:-1]


@dataclass(frozen=True)
class Difference:
    """A cell of two studies.

    Attributes:
        cell: values of `CELL`.
        title: of the method, with its variant.
        first, second: means of the studies, over pairs where there are any.
        difference: second minus first, over pairs where there are any.
        interval: of the difference over seeds: BCa bootstrap over pairs, else Welch's.
        pairs: seeds that met the same split in both; 0 where none did.
        p: of the exact signed-rank test over the pairs, or None without any.
        same: whether the pairs are the same runs: nothing differs.
    """

    cell: tuple[Any, ...]
    title: str
    first: float
    second: float
    difference: float
    interval: Interval | None
    pairs: int
    p: float | None
    same: bool


def compare(first: Path, second: str, metric: str | None, out: Path) -> tuple[str, list[Path]]:
    """Compare two studies, or a study with published numbers; return Markdown, and the files that hold the same.

    Args:
        first: folder of a study.
        second: folder of another, or "published".
        metric: "oa", "aa" or "kappa"; None: OA, and of published numbers whatever there are.
        out: folder of the files.

    Raises:
        UserError: no such study, no cell that both have, a metric beside published numbers, or a file where the folder
            would be.
    """
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out {out}: found a file at {there}, expected a folder; name another or remove the file")
    study = read_study(first)
    if second == PUBLISHED:
        if metric is not None:
            raise UserError(f"--metric: found {metric!r}, but published numbers are shown with their own; leave it out")
        table = scorecard_table(study, read_runs(study))
    else:
        table = _table(study, read_study(Path(second)), metric or "oa")
    name = f"{study.folder.resolve().name}_{Path(second).resolve().name}"
    written = []
    for form, write in WRITERS.items():
        written.append(_written(out / f"{name}.{form}", write(table)))
    return WRITERS["md"](table), written


def _written(path: Path, text: str) -> Path:
    return write_atomically(path, lambda file: file.write(text.encode()))


def differences(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> Iterator[Difference]:
    """Yield the cells that both frames of runs have, in the order of the first."""
    keys = list(CELL)
    found = dict(iter(_good(second).groupby(keys, sort=False, dropna=False)))
    for cell, mine in _good(first).groupby(keys, sort=False, dropna=False):
        theirs = found.get(cell)
        if theirs is not None:
            yield _difference(cell, mine, theirs, metric)


def _good(runs: pd.DataFrame) -> pd.DataFrame:
    # Missing numbers must be equal to each other: a method without a window has none in either study.
    return runs[(runs["status"] == "ok") & ~runs["control"]].fillna({"window": -1, "mask_ratio": -1})


def _difference(cell: tuple[Any, ...], mine: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> Difference:
    keys, told = ["seed", "split_sha256"], ["fingerprint", metric]
    paired = mine[[*keys, *told]].merge(theirs[[*keys, *told]], on=keys, suffixes=("_first", "_second"))
    title, variant = mine["title"].iloc[0], mine["variant"].iloc[0]
    title += "" if variant == "default" else f" ({variant})"
    if paired.empty:
        first, second = mine[metric].to_numpy(), theirs[metric].to_numpy()
        difference, span = welch(second, first)
        means = float(first.mean()), float(second.mean())
        return Difference(cell, title, *means, difference, span, 0, None, False)
    same = all(paired[f"{column}_first"].equals(paired[f"{column}_second"]) for column in told)
    first, second = (paired[f"{metric}_{study}"].to_numpy() for study in ("first", "second"))
    gained = second - first
    p = float(signed_rank_p(gained[None])[0])
    means = float(first.mean()), float(second.mean())
    return Difference(cell, title, *means, float(gained.mean()), seed_interval(gained), len(gained), p, same)


def _table(first: Study, second: Study, metric: str) -> Table:
    runs = read_runs(first), read_runs(second)
    found = list(differences(*runs, metric))
    if not found:
        raise UserError(f"{first.folder} and {second.folder}: no cell has runs in both, expected one at least")
    tested = [one for one in found if one.p is not None and not one.same]
    corrected = dict(zip(tested, holm([one.p for one in tested if one.p is not None]).tolist(), strict=True))
    family = len(tested)
    lines = [_line(one, corrected.get(one), family) for one in found]
    cells = [len(set(_cells(frame)) - {one.cell for one in found}) for frame in runs]
    names = [study.folder.resolve().name for study in (first, second)]
    return Table(
        label=f"tab:compare-{names[0]}-{names[1]}",
        caption=f"{SHOWN[metric]} in % of {second.title} ({second.folder}) against {first.title} ({first.folder}).",
        stub=("Method",),
        columns=(
            *(Column("", label, words=True) for label in ("Scene", "Protocol", "Setting")),
            Column("", names[0] if names[0] != names[1] else str(first.folder)),
            Column("", names[1] if names[0] != names[1] else str(second.folder)),
            Column("", "Difference"),
            Column("", "95 % interval"),
            Column("", "Pairs"),
            Column("", "p (Holm)"),
            Column("", "Verdict", words=True),
        ),
        lines=tuple(lines),
        notes=tuple(_notes(found, family, names, cells)),
        keys={"metric": metric},
    )


def _cells(runs: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(_good(runs)[list(CELL)].itertuples(index=False, name=None))


def _line(found: Difference, corrected: float | None, family: int) -> Line:
    named = dict(zip(CELL, found.cell, strict=True))
    axes = (("window", "window"), ("mask_ratio", "mask ratio"))
    setting = [f"{named['shots']} shots", *(f"{label} {named[key]:g}" for key, label in axes if named[key] != -1)]
    cells = (
        Words(str(named["scene"])),
        Words(str(named["protocol"])),
        Words(", ".join(setting)),
        number(found.first),
        number(found.second),
        number(found.difference, "+.2f"),
        interval(found.interval, "+.1f"),
        Words(str(found.pairs) if found.pairs else "not paired", found.pairs),
        NOTHING if corrected is None else p_value(corrected),
        Words(_verdict(found, corrected, family)),
    )
    keys = {key: named[key] for key in ("scene", "protocol", "method", "variant", "shots")}
    return Line((found.title,), cells, keys=keys)


def _verdict(found: Difference, corrected: float | None, family: int) -> str:
    if found.same:
        return "the same runs"
    way = "higher" if found.difference > 0 else "lower"
    if corrected is None:
        if found.interval is None:
            return "cannot decide: fewer than two runs"
        return way if not found.interval.holds(0.0) else "not told apart"
    if corrected <= ALPHA:
        return way
    return "not told apart" if can_decide(found.pairs, family) else f"cannot decide: {found.pairs} pairs"


def _notes(found: list[Difference], family: int, names: list[str], only: list[int]) -> list[str]:
    notes = [
        f"Means and difference ({names[1]} minus {names[0]}): over seeds that met the same split in both (interval: "
        f"BCa bootstrap; p: exact Wilcoxon signed-rank test, Holm-corrected over {family} cells, {ALPHA:.0%}); "
        "not paired: by all runs (interval: Welch's, uncorrected)."
    ]
    pairs = [one.pairs for one in found if one.pairs and not one.same]
    notes += coverage_notes(pairs, "pairs")
    fewest = min(pairs, default=0)
    if fewest and not can_decide(fewest, family):
        notes.append(
            f"{fewest} pairs cannot decide: the smallest p that they can reach is {smallest_p(fewest):.3g} before "
            f"correction for {family} cells; {pairs_needed(family)} pairs or more could."
        )
    for name, count in zip(names, only, strict=True):
        if count:
            notes.append(f"Cells of {name} alone, not shown: {count}.")
    return notes

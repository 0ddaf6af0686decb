"""What tables and figures must say of themselves: scene, protocol, seeds, what is missing, where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from report.frame import SIGNS, Entry, View, of_entry
from report.prepared import read_facts
from report.study import Study

# A reason may be a whole traceback; tables quote its beginning.
REASON_LENGTH = 160
NOTHING = "No run has been recorded yet."


def scene_title(study: Study, runs: pd.DataFrame, scene: str) -> tuple[str, bool]:
    """Return the scene's title and whether it is simulated, from its runs or else from the prepared scene."""
    found = runs[runs["scene"] == scene]
    if len(found):
        return str(found["scene_title"].iloc[0]), bool(found["simulated"].any())
    facts = read_facts(study.folder, scene)
    return (scene, False) if facts is None else (facts["info"]["title"], facts["info"]["simulated"])


def heading(view: View) -> str:
    """Return "Trento, strict protocol", or the same with "SIMULATED" where no sensor ever saw the scene."""
    title, simulated = scene_title(view.study, view.all_runs, view.scene)
    return f"{title} (SIMULATED), {view.protocol} protocol" if simulated else f"{title}, {view.protocol} protocol"


def table_caption(view: View, what: str, numbers: str = "mean ± sample standard deviation (ddof = 1)") -> str:
    """Return the caption of a table: what is shown, of which scene, how it was measured.

    Args:
        view: the runs that are shown.
        what: what is shown of them.
        numbers: what a cell gives of several seeds.
    """
    study = view.study
    title, simulated = scene_title(study, view.all_runs, view.scene)
    spread = numbers if len(study.seeds) > 1 else "one run each, no deviation"
    parts = [
        f"{title} – SIMULATED SCENE." if simulated else f"{title}.",
        f"{what}, {view.protocol} protocol; {spread} over {seeds_text(study.seeds)}.",
        f"Window {study.window} × {study.window} pixels and mask ratio {study.mask_ratio:g} for methods that have one.",
        *([*_split_facts(view.runs), *_origin(view.runs)] if len(view.runs) else [NOTHING]),
    ]
    return " ".join(parts)


def seeds_text(seeds: Sequence[int]) -> str:
    """Return "seed 4", "seeds 0–9" or "seeds 1, 5, 7"."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]}–{seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"


def shots_text(shots: int) -> str:
    """Return "1 shot" or "2 shots"."""
    return f"{shots} shot{'s' if shots > 1 else ''}"


def span(values: pd.Series, form: str) -> str:
    """Return "12" or "10–12", each end written by the format."""
    low, high = (format(value, form) for value in (values.min(), values.max()))
    return low if low == high else f"{low}–{high}"


def _split_facts(runs: pd.DataFrame) -> list[str]:
    facts = [f"Test pixels: {span(runs['test_pixels'], ',.0f')}."]
    overlap = runs["overlap_percent"].dropna()
    if len(overlap):
        facts.append(f"Test windows that overlap a training window: {span(overlap, '.1f')} %.")
    margin = runs["margin"].dropna()
    if len(margin):
        facts.append(f"Least distance between training and test pixels: {span(margin, '.0f')} pixels.")
    return facts


def _origin(runs: pd.DataFrame) -> list[str]:
    commits = sorted({commit[:10] + "+" * commit.endswith("+") for commit in runs["commit"]} - {""})
    devices = sorted(set(runs["device_name"]) - {""})
    origin = [f"{_plural('Commit', commits)} {', '.join(commits)}." if commits else "No git commit known."]
    if devices:
        origin.append(f"{_plural('Device', devices)}: {', '.join(devices)}.")
    days = sorted({created[:10] for created in runs["created"]} - {""})
    if days:
        origin.append(f"Made {days[0]}." if len(days) == 1 else f"Made {days[0]} to {days[-1]}.")
    return origin


def _plural(word: str, found: Sequence[str]) -> str:
    return word if len(found) == 1 else f"{word}s"


def sign_notes(shown: Iterable[Entry]) -> list[str]:
    """Explain the footnote signs that occur."""
    found = "".join(entry.signs for entry in shown)
    return [f"{sign} {meaning}." for sign, meaning in SIGNS.items() if sign in found]


def failures(view: View) -> list[str]:
    """Return why runs failed: one line per method and reason."""
    lines: list[str] = []
    failed = view.runs[view.runs["status"] == "failed"]
    if failed.empty:
        return lines
    for entry in view.entries:
        for reason, group in of_entry(failed, entry).groupby("reason", sort=False):
            last = str(reason).strip().splitlines()[-1] if str(reason).strip() else "no reason given"
            where = ", ".join(_named(view, run) for run in group.itertuples())
            lines.append(f"Failed: {entry.name} ({where}): {last[:REASON_LENGTH]}")
    return lines


def _named(view: View, run: Any) -> str:
    """Name a run by its shots and seed, and by what varies in the grid."""
    varied = [
        f"{column.replace('_', ' ')} {getattr(run, column):g}"
        for column, values in view.grid.axes.items()
        if len(values) > 1 and pd.notna(getattr(run, column))
    ]
    return " ".join([f"{run.shots} shots", *varied, f"seed {run.seed}"])


def inconsistencies(view: View) -> list[str]:
    """Warn where a method's runs in the study, no cell of which mixes two versions of its code, differ in it."""
    versions = view.all_runs.groupby(["method", "variant"])["sources_sha256"].nunique().to_dict()
    return [
        f"Warning: {entry.name}: its runs in this study are of {versions[entry.row]} versions of its code."
        for entry in view.entries
        if versions.get(entry.row, 1) > 1
    ]


def missing(view: View, shown: Iterable[Entry]) -> str:
    """Return "Runs missing or failed: SVM 2 of 9; ...", or "" when all that the grid asks for went well.

    Whether a method has a window or a mask ratio is known from its records.
    """
    if view.runs.empty:
        return NOTHING
    parts = []
    for entry in shown:
        found = of_entry(view.runs, entry)
        points = len(view.grid.shots) * len(view.study.seeds)
        for column, values in view.grid.axes.items():
            points *= len(values) if found[column].notna().any() else 1
        lacking = points - int((found["status"] == "ok").sum())
        if lacking:
            parts.append(f"{entry.name} {lacking} of {points}" if len(found) else f"{entry.name} all")
    return f"Runs missing or failed: {'; '.join(parts)}." if parts else ""

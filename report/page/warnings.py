"""What a reader must know before believing a number of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from report.captions import failures, inconsistencies, missing
from report.frame import STAND_IN_CLIP, View, view
from report.page.items import Section
from report.statistics.paired import pairs_needed
from report.study import Study


@dataclass(frozen=True)
class Notice:
    """One thing to know: in a few words, and in detail."""

    short: str
    details: tuple[str, ...] = ()


def warnings(study: Study, runs: pd.DataFrame, sections: Sequence[Section]) -> list[Notice]:
    """Return everything that weakens what the page shows."""
    views = [view(study, runs, scene, protocol) for scene in study.scenes for protocol in study.main.protocols]
    swept = [
        view(study, runs, scene, protocol, name)
        for name, grid in study.sweeps.items()
        for scene in study.scenes
        for protocol in grid.protocols
    ]
    shown = [*views, *swept]
    found = [
        Notice("Simulated scene: no sensor ever saw it", tuple(_simulated(runs))),
        Notice("Runs are missing or failed", tuple(_lacking(shown))),
        Notice("Failed runs, with their reasons", tuple(_each(shown, failures))),
        Notice("CLIP weights are random or embedded stand-ins, not the published ones", tuple(_stand_ins(runs, shown))),
        Notice("Runs of a method were made by different versions of its code", tuple(_versions(shown))),
        Notice("Code: records of several states, or of changes that were not committed", tuple(_commits(runs))),
        Notice("Several devices: seconds and memory are compared across them", tuple(_devices(runs))),
        Notice("Tables or figures that have not been made", tuple(name for part in sections for name in part.absent)),
        Notice("Few seeds: differences between methods can hardly be decided", tuple(_seeds(study))),
    ]
    return [notice for notice in found if notice.details]


def _simulated(runs: pd.DataFrame) -> Iterator[str]:
    yield from runs[runs["simulated"]]["scene_title"].drop_duplicates()


def _lacking(views: Sequence[View]) -> Iterator[str]:
    for found in views:
        if text := missing(found, found.entries):
            yield f"{_where(found)}: {text}"


def _each(views: Sequence[View], find: Callable[[View], Sequence[str]]) -> Iterator[str]:
    # A sweep may show runs of the main grid again.
    yield from dict.fromkeys(f"{_where(found)}: {text}" for found in views for text in find(found))


def _versions(views: Sequence[View]) -> Iterator[str]:
    # What is true of the study, every view of it says.
    yield from dict.fromkeys(text for found in views for text in inconsistencies(found))


def _stand_ins(runs: pd.DataFrame, views: Sequence[View]) -> Iterator[str]:
    names = {entry.row: entry.name for found in views for entry in found.entries if STAND_IN_CLIP in entry.signs}
    for row, name in names.items():
        here = runs[(runs["method"] == row[0]) & (runs["variant"] == row[1])]
        yield f"{name}: {', '.join(sorted(set(here['clip_weights'])))}"


def _commits(runs: pd.DataFrame) -> Iterator[str]:
    commits = sorted(set(runs["commit"]))
    if len(commits) > 1 or any(commit.endswith("+") for commit in commits):
        yield ", ".join(commit or "no commit known" for commit in commits)


def _devices(runs: pd.DataFrame) -> Iterator[str]:
    devices = sorted(set(runs["device_name"]) - {""})
    if len(devices) > 1:
        yield ", ".join(devices)


def _seeds(study: Study) -> Iterator[str]:
    if len(study.seeds) < pairs_needed():
        yield (
            f"{len(study.seeds)} per cell; with fewer than {pairs_needed()} paired splits no exact signed-rank test "
            "can be significant at 5 %."
        )


def _where(found: View) -> str:
    return f"{found.scene}, {found.protocol}"

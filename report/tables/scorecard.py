"""The scorecard: published numbers, ours with their intervals, and whether they were reproduced."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pandas as pd

from report.captions import seeds_text
from report.published import Published, Score, read_published, scores
from report.study import Study
from report.tables.main import SHOWN
from report.tables.marks import coverage_notes
from report.tables.table import Column, Line, Table, Words
from report.tables.words import NOTHING, interval, number


def scorecard_table(study: Study, runs: pd.DataFrame) -> Table:
    """Return every published number of a method of the study with what its runs say to it."""
    published = read_published()
    found = list(scores(study, runs, published))
    sources = list(dict.fromkeys(_cited(score.published) for score in found))
    groups = [list(group) for _, group in groupby(found, _subject)]
    lines = tuple(line for group in groups for line in _lines(group, sources.index(_cited(group[0].published)) + 1))
    return Table(
        label="tab:scorecard",
        caption=f"{study.title}. Published numbers and ours in %, with 95 % intervals over {seeds_text(study.seeds)}.",
        stub=("Method",),
        columns=(
            Column("", "Scene", words=True),
            Column("", "Metric", words=True),
            Column("", "Published"),
            Column("", "Ours"),
            Column("", "95 % interval"),
            Column("", "Difference"),
            Column("", "Verdict", words=True),
            Column("", "Source"),
        ),
        lines=lines,
        notes=(
            *(f"({place}) {source}" for place, source in enumerate(sources, start=1)),
            *_notes(study, [score.published for score in found], published),
        ),
        keys={},
    )


def _subject(score: Score) -> tuple[str, str]:
    return score.name, score.scene


def _lines(group: list[Score], source: int) -> Iterator[Line]:
    """Yield a line per number of one method and scene; one for all where none can be compared."""
    if all(score.ours is None for score in group):
        first = group[0]
        metrics, values = " / ".join(SHOWN[s.metric] for s in group), " / ".join(f"{s.value:.2f}" for s in group)
        cells = (Words(first.scene), Words(metrics), Words(values), NOTHING, NOTHING, NOTHING)
        yield Line((first.name,), (*cells, Words(first.verdict), Words(f"({source})", source)), (), _keys(first))
        return
    for place, score in enumerate(group):
        cells = (
            Words(score.scene),
            Words(SHOWN[score.metric], score.metric),
            number(score.value),
            number(score.ours),
            interval(score.interval),
            number(None if score.ours is None else score.ours - score.value, "+.2f"),
        )
        found = (*cells, Words(score.verdict), Words(f"({source})", source))
        yield Line((score.name,), found, (), _keys(score), place == 0)


def _keys(score: Score) -> dict[str, Any]:
    keys: dict[str, Any] = {"scene": score.scene, "protocol": score.published.protocol, "title": score.name}
    if score.row:
        keys |= {"method": score.row[0], "variant": score.row[1]}
    return keys | ({"shots": score.published.shots} if score.published.shots else {})


def _cited(published: Published) -> str:
    return f"{published.source}{' (second hand)' if published.second_hand else ''}. Drawn: {published.drawn}."


def _notes(study: Study, compared: list[Published], published: list[Published]) -> list[str]:
    notes = []
    if compared:
        notes.append(
            "Difference: ours minus published. Reproduced: the published number lies within the interval of ours; "
            "higher, lower: ours is. The published numbers come without an interval of their own."
        )
        notes += coverage_notes([len(study.seeds)], "seeds")
    else:
        notes.append("No number has been published of a method of this study, as far as the sources go.")
    others = dict.fromkeys(one.title for one in published if one not in compared)
    if others:
        notes.append(f"Published numbers are known, too, of methods that this study lacks: {', '.join(others)}.")
    return notes

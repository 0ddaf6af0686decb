"""What was classified: the scenes of a study, and the pixels of every class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from report.captions import NOTHING as NO_RUN
from report.captions import scene_title, shots_text, span, table_caption
from report.frame import View, class_names
from report.prepared import read_facts
from report.study import Study
from report.tables.main import view_notes
from report.tables.table import Cell, Column, Line, Table, Words
from report.tables.words import NOTHING, number


def data_sets_table(study: Study, runs: pd.DataFrame) -> Table:
    """Return the scenes of a study with the sizes of their splits."""
    grids = [(protocol, shots) for protocol in study.main.protocols for shots in study.main.shots]
    sizes = [Column("", label) for label in ("Size", "Bands", "Other channels", "Classes", "Labelled")]
    splits = [Column(f"{protocol}: training / test pixels", shots_text(shots)) for protocol, shots in grids]
    lines = []
    for scene in study.scenes:
        facts, own = read_facts(study.folder, scene), runs[(runs["scene"] == scene) & runs["main"]]
        cells = [*_sizes(facts), *(_split(own, *grid) for grid in grids)]
        title, simulated = scene_title(study, runs, scene)
        lines.append(Line((title + " (simulated)" * simulated,), tuple(cells), keys={"scene": scene}))
    return Table(
        label="tab:data-sets",
        caption=f"{study.title}. Scenes, and pixels of their splits; ranges are over seeds and methods.",
        stub=("Scene",),
        columns=(*sizes, *splits),
        lines=tuple(lines),
        notes=("Size: rows × columns in pixels. Other channels: LiDAR, SAR and the like.",),
        keys={},
    )


def _sizes(facts: Mapping[str, Any] | None) -> list[Cell]:
    if facts is None:
        return [NOTHING] * 5
    counts = [facts["bands"], facts["aux_channels"], len(facts["class_names"]), sum(facts["pixels_per_class"])]
    return [Words(f"{facts['height']} × {facts['width']}"), *(number(count, ",.0f") for count in counts)]


def _split(runs: pd.DataFrame, protocol: str, shots: int) -> Cell:
    found = runs[(runs["protocol"] == protocol) & (runs["shots"] == shots)]
    if found.empty:
        return NOTHING
    return Words(f"{span(found['train_pixels'], ',.0f')} / {span(found['test_pixels'], ',.0f')}")


def classes_table(view: View) -> Table:
    """Return the classes of a scene with their labelled pixels and those that the splits of a protocol test."""
    return Table(
        label=f"tab:{view.scene}-{view.protocol}-classes",
        caption=table_caption(view, "Labelled pixels of every class, and those that are tested"),
        stub=("Class",),
        columns=(
            Column("", "Labelled", {"pixels": "labelled"}),
            *(Column("Test pixels", shots_text(shots), {"shots": shots}) for shots in view.grid.shots),
        ),
        lines=tuple(_class_lines(view)),
        notes=(
            "As many pixels of every class train as there are shots; ranges are over seeds and methods.",
            *([NO_RUN] if view.runs.empty else []),
            *view_notes(view),
        ),
        keys={"scene": view.scene, "protocol": view.protocol},
    )


def _class_lines(view: View) -> Iterator[Line]:
    facts = read_facts(view.study.folder, view.scene)
    labelled = dict(zip(facts["class_names"], facts["pixels_per_class"], strict=True)) if facts else {}
    runs = view.runs
    tested = pd.DataFrame([json.loads(text) for text in runs["class_test_pixels"]], index=runs.index)
    for name in dict.fromkeys([*labelled, *class_names(runs)]):
        cells: list[Cell] = [number(labelled.get(name), ",.0f")]
        for shots in view.grid.shots:
            counts = tested.loc[runs["shots"] == shots, name].dropna() if name in tested else pd.Series(dtype=float)
            cells.append(Words(span(counts, ",.0f"), float(counts.mean())) if len(counts) else Words("left out", ""))
        yield Line((name,), tuple(cells), keys={"class": name})

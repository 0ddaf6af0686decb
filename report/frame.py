"""`runs.csv` as a frame, and the rows that tables and figures show, in the order of the config."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from diffclip.errors import UserError
from diffclip.study import layout
from report.checks import COST, METRICS, SPLIT
from report.collect import COLUMNS, ERRORS
from report.prepared import read_facts
from report.stored import read_table
from report.study import Grid, Row, Study
from report.summary import Summary, summarise

# Shown apart, and never best; named here so that they are known before they have a record.
CONTROLS = ("true_labels", "random_labels")
TRANSDUCTIVE, SCENE_WIDE, STAND_IN_CLIP, VALIDATED = "†", "‡", "§", "¶"
SIGNS = {
    TRANSDUCTIVE: "transductive: learns from unlabelled pixels of the scene it is tested on",
    SCENE_WIDE: "features made over the whole scene: no distance between training and test pixels separates them",
    STAND_IN_CLIP: "CLIP weights are random or embedded stand-ins, not the published ones",
    VALIDATED: "chooses among its fits by labels of more pixels than the shots",
}
# Columns that give a row its signs.
_MARKED = ("method", "variant", "transductive", "reach", "clip_weights", "validation_pixels")
_NUMBERS = {
    "shots",
    "seeds_together",
    "energy_joules",
    "window",
    "mask_ratio",
    "seed",
    *METRICS,
    *ERRORS,
    *SPLIT,
    *COST,
} - {
    "device",
    "device_name",
}
_TRUTHS = {"main", "simulated", "transductive", "control"}


@dataclass(frozen=True)
class Entry:
    """A method and variant, as tables and figures show it.

    Attributes:
        row: (method, variant).
        title: of the method.
        control: shown apart, never best.
        signs: footnote signs.
    """

    row: Row
    title: str
    control: bool
    signs: str

    @property
    def name(self) -> str:
        """The title, with the variant unless it is the default."""
        variant = self.row[1]
        return self.title if variant == "default" else f"{self.title} ({variant})"


def read_runs(study: Study) -> pd.DataFrame:
    """Read `runs.csv` of the study.

    Raises:
        UserError: no such file, a damaged one, columns of another version, or runs of another study than it is now.
    """
    path = study.folder / layout.RUNS
    packed = path.with_name(f"{path.name}.gz")
    # As published studies have it where it is large.
    if packed.is_file() and not path.is_file():
        path = packed
    command = f"'python -m report runs --study {study.folder}'"
    if not path.is_file():
        raise UserError(f"{path}: not found; make it with {command}")
    kinds = dict.fromkeys(COLUMNS, "object") | dict.fromkeys(_NUMBERS, "float64") | dict.fromkeys(_TRUTHS, "bool")
    again = f"make it again with {command}"
    found = read_table(path, kinds, again)
    if found[["shots", "seed"]].isna().any(axis=None):
        raise UserError(f"{path}: a row has no shots or no seed; {again}")
    if stray := _stray(study, found):
        raise UserError(f"{path}: found {stray}, expected what {study.folder / layout.STUDY} asks for; {again}")
    # Columns of one kind side by side: choosing rows, which every number shown takes, is then a few copies.
    return _titled(study, found.astype({"shots": "int64", "seed": "int64"})).copy()


def _stray(study: Study, runs: pd.DataFrame) -> str:
    """Return what a run has that the study, in the grids that the run is of, does not ask for, or ""."""
    found = _unasked(runs, scene=study.scenes, seed=study.seeds)
    grids: list[tuple[str | None, Grid]] = [(None, study.main), *study.sweeps.items()]
    for sweep, grid in grids:
        own = runs[_of_grid(runs, sweep)]
        found += _unasked(own, protocol=grid.protocols, shots=grid.shots)
        rows = own[["method", "variant"]].drop_duplicates().itertuples(index=False, name=None)
        found += [f"method {row[0]!r}, variant {row[1]!r}" for row in rows if row not in grid.rows]
    return f"runs of {found[0]}" if found else ""


def _unasked(runs: pd.DataFrame, **asked: Sequence[Any]) -> list[str]:
    return [
        f"{column} {value:g}" if column in _NUMBERS else f"{column} {value!r}"
        for column, values in asked.items()
        for value in runs[column].unique()
        if value not in values
    ]


def _of_grid(runs: pd.DataFrame, sweep: str | None) -> pd.Series:
    """Return which runs are of the main grid, or of a sweep."""
    return runs["main"] if sweep is None else runs["sweeps"].map(lambda names: sweep in names.split(";")).astype(bool)


def _titled(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Give all runs the title that their scene has now: as it is prepared, or else as its newest record has it."""
    newest = runs.sort_values("created", kind="stable").drop_duplicates("scene", keep="last")
    titles = dict(zip(newest["scene"], newest["scene_title"], strict=True))
    for scene in titles:
        facts = read_facts(study.folder, scene)
        if facts is not None:
            titles[scene] = facts["info"]["title"]
    return runs.assign(scene_title=runs["scene"].map(titles).astype("object"))


@dataclass(frozen=True, eq=False)
class View:
    """One scene under one protocol: what a table or figure shows.

    Attributes:
        study: what was asked for.
        all_runs: all runs of the study, for names of methods and scenes.
        runs: those of this scene, protocol and grid.
        scene, protocol: names.
        grid: the main grid, or a sweep's.
    """

    study: Study
    all_runs: pd.DataFrame
    runs: pd.DataFrame
    scene: str
    protocol: str
    grid: Grid

    @cached_property
    def entries(self) -> list[Entry]:
        """What is shown, in the order of the config, controls last."""
        return entries(self.all_runs, self.grid.rows, self.runs)

    @property
    def rivals(self) -> list[Entry]:
        """What is shown, without controls."""
        return [entry for entry in self.entries if not entry.control]

    def at_shots(self, shots: int) -> View:
        """Return the same with runs of one number of shots only."""
        grid = replace(self.grid, shots=(shots,))
        return replace(self, runs=self.runs[self.runs["shots"] == shots], grid=grid)

    @cached_property
    def good(self) -> pd.DataFrame:
        """Runs that went well."""
        return self.runs[self.runs["status"] == "ok"]

    def scores(self, column: str | pd.Series) -> Float[np.ndarray, "entries shots seeds"]:
        """Return numbers of the runs that went well as an array; NaN where there is none.

        For grids of one window and one mask ratio: seeds stand at the same place for all entries, so that they pair.

        Args:
            column: its name, or numbers with the index of the runs.
        """
        values = self.good[column] if isinstance(column, str) else column.reindex(self.good.index)
        found = np.full((len(self.entries), len(self.grid.shots), len(self.study.seeds)), np.nan)
        found[self._places] = values.to_numpy(dtype=float)
        return found

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = {entry.row: place for place, entry in enumerate(self.entries)}
        entry = [rows[row] for row in zip(self.good["method"], self.good["variant"], strict=True)]
        shots = self.good["shots"].map({shots: place for place, shots in enumerate(self.grid.shots)})
        seeds = self.good["seed"].map({seed: place for place, seed in enumerate(self.study.seeds)})
        return np.array(entry, dtype=int), shots.to_numpy(dtype=int), seeds.to_numpy(dtype=int)


def view(study: Study, runs: pd.DataFrame, scene: str, protocol: str, sweep: str | None = None) -> View:
    """Return the runs of a scene under a protocol: of the main grid, or of a sweep."""
    found = runs[_of_grid(runs, sweep) & (runs["scene"] == scene) & (runs["protocol"] == protocol)]
    return View(study, runs, found, scene, protocol, study.main if sweep is None else study.sweeps[sweep])


def entries(runs: pd.DataFrame, rows: Iterable[Row], shown: pd.DataFrame) -> list[Entry]:
    """Return what is shown, in the order of the config, controls last.

    A variant without any record goes by the title of the method's others, or else by the name of its file.

    Args:
        runs: all of the study, which tell titles and controls.
        rows: methods and variants.
        shown: the runs that are shown, any of which gives its row a footnote sign: another scene's may have others.
    """
    first = runs.drop_duplicates(["method", "variant"]).to_dict("records")
    known = {(run["method"], run["variant"]): run for run in first}
    titles = {run["method"]: str(run["title"]) for run in first}
    signs = _signs(shown)
    found = [_entry(row, titles.get(row[0], row[0]), known.get(row), signs.get(row, "")) for row in rows]
    return sorted(found, key=lambda entry: entry.control)


def _entry(row: Row, title: str, traits: Mapping[Hashable, Any] | None, signs: str) -> Entry:
    if traits is None:
        return Entry(row, title, row[0] in CONTROLS, "")
    control = bool(traits["control"])
    return Entry(row, str(traits["title"]), control, "" if control else signs)


def _signs(runs: pd.DataFrame) -> dict[Row, str]:
    """Return the footnote signs of every method and variant, from any of the runs."""
    found: dict[Row, set[str]] = {}
    for traits in runs[list(_MARKED)].drop_duplicates().to_dict("records"):
        marks = {
            TRANSDUCTIVE: traits["transductive"],
            SCENE_WIDE: traits["reach"] == "scene",
            STAND_IN_CLIP: _is_stand_in(str(traits["clip_weights"])),
            VALIDATED: traits["validation_pixels"] > 0,
        }
        row = (traits["method"], traits["variant"])
        found.setdefault(row, set()).update(sign for sign, holds in marks.items() if holds)
    return {row: "".join(sign for sign in SIGNS if sign in signs) for row, signs in found.items()}


def _is_stand_in(clip_weights: str) -> bool:
    """Return whether no published CLIP is behind what a record says: "random", or "file: random (CHECKSUM)"."""
    return clip_weights.removeprefix("file: ").split(" (")[0] in ("random", "embedded")


def of_entry(runs: pd.DataFrame, entry: Entry) -> pd.DataFrame:
    """Return the runs of one method and variant."""
    return runs[(runs["method"] == entry.row[0]) & (runs["variant"] == entry.row[1])]


def at(runs: pd.DataFrame, metric: str, expected: int) -> Summary:
    """Summarise a metric of the runs that went well."""
    return summarise(runs.loc[runs["status"] == "ok", metric], expected)


def class_names(runs: pd.DataFrame, column: str = "class_test_pixels") -> list[str]:
    """Return the classes that any of the runs knows, in label order.

    Runs may leave out different classes that are too small for their shots.
    """
    lists: list[Sequence[str]] = sorted({tuple(json.loads(text)) for text in runs[column]}, key=len, reverse=True)
    ordered: list[str] = []
    for names in lists:
        for place, name in enumerate(names):
            if name not in ordered:
                after = ordered.index(names[place - 1]) + 1 if place else 0
                ordered.insert(after, name)
    return ordered

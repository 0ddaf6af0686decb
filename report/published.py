"""Published numbers with their sources, and what our runs say to them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from diffclip.validation import read_yaml, validated
from report.frame import Entry, View, of_entry, view
from report.statistics.intervals import Interval, seed_interval
from report.study import Study

FILE = Path(__file__).with_name("published.yaml")
Percent = Annotated[float, Field(ge=-100.0, le=100.0)]


class Numbers(BaseModel):
    """Accuracies of a method on a scene, in percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    oa: Percent | None = None
    aa: Percent | None = None
    kappa: Percent | None = None

    @model_validator(mode="after")
    def _possible(self) -> Numbers:
        if self.oa is not None and self.kappa is not None and self.kappa > self.oa:
            raise ValueError(f"kappa {self.kappa} is above OA {self.oa}, which cannot be")
        return self


class Published(BaseModel):
    """What a source says of a method on several scenes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(description="the suite's name of the method")
    title: str
    variants: tuple[str, ...] = Field(default=(), description="those that stand for it; default: all")
    protocol: Literal["paper", "standard", "strict"] = Field(description="the suite's protocol that is nearest")
    shots: int | None = Field(default=None, description="labelled training pixels per class")
    window: int | None = Field(default=None, description="side in pixels")
    settings: dict[str, Any] = Field(default_factory=dict, description="options that a record must have")
    drawn: str = Field(description="how its training and test pixels were drawn, and what chose the model")
    source: str
    second_hand: bool = Field(default=False, description="read in another text than the source itself")
    not_comparable: str = Field(default="", description="why no run of a study can be compared with it")
    numbers: dict[str, Numbers]


class _File(RootModel[dict[str, Published]]):
    """The whole file, by keys that nothing refers to."""


@dataclass(frozen=True)
class Score:
    """A published number, and ours.

    Attributes:
        published: what the source says of the method.
        name: of the row that is compared, or the method's title where there is none.
        row: (method, variant), or None.
        scene, metric: of the number.
        value: published.
        ours: mean over seeds, or None.
        interval: of ours, over seeds.
        verdict: "reproduced", "higher", "lower", or "not comparable: why".
    """

    published: Published
    name: str
    row: tuple[str, str] | None
    scene: str
    metric: str
    value: float
    ours: float | None
    interval: Interval | None
    verdict: str


def read_published(path: Path = FILE) -> list[Published]:
    """Read the file of published numbers.

    Raises:
        UserError: keys or values that it may not have, kappa above OA among them.
    """
    return list(validated(_File, read_yaml(path), str(path)).root.values())


def scores(study: Study, runs: pd.DataFrame, found: list[Published]) -> Iterator[Score]:
    """Yield every published number of a method of the study with what its runs say to it."""
    for published in found:
        for scene, numbers in published.numbers.items():
            shown = view(study, runs, scene, published.protocol).at_shots(published.shots or 0)
            for entry in _meant(shown, published):
                for metric, value in numbers.model_dump(exclude_none=True).items():
                    yield _score(shown, published, entry, metric, value)


def _meant(shown: View, published: Published) -> Sequence[Entry | None]:
    """Return the rows of the method that stand for what was published; None for a method without one."""
    own = [entry for entry in shown.entries if entry.row[0] == published.method]
    meant = [entry for entry in own if not published.variants or entry.row[1] in published.variants]
    # Where no run can be compared, the method is named once, not every variant of it.
    return [None] if own and (published.not_comparable or not meant) else meant


def _score(shown: View, published: Published, entry: Entry | None, metric: str, value: float) -> Score:
    study, scene = shown.study, shown.scene
    why = published.not_comparable or _hindrance(study, published, entry, scene)
    ours, interval = None, None
    if not why and entry is not None:
        own = of_entry(shown.good, entry)
        why = _other_settings(published, own, len(study.seeds))
        if len(own):
            ours, interval = float(own[metric].mean()), seed_interval(own[metric].to_numpy())
    verdict = f"not comparable: {why}" if why else judge(value, ours, interval)
    name = entry.name + entry.signs if entry else published.title
    return Score(published, name, entry.row if entry else None, scene, metric, value, ours, interval, verdict)


def judge(value: float, ours: float | None, interval: Interval | None) -> str:
    """Return the verdict of a number that may be compared: whether it lies within our interval."""
    if ours is None or interval is None or math.isnan(ours):
        return "not comparable: fewer than two runs give no interval"
    if interval.holds(value):
        return "reproduced"
    return "higher" if ours > value else "lower"


def _hindrance(study: Study, published: Published, entry: Entry | None, scene: str) -> str:
    """Say why the study has no run to compare, or return ""."""
    if scene not in study.scenes:
        return f"scene {scene} is not in this study"
    if entry is None:
        return f"no variant {' or '.join(published.variants)} in this study"
    if published.protocol not in study.main.protocols:
        return f"protocol {published.protocol} is not in this study"
    if published.shots not in study.main.shots:
        return f"{published.shots} shots are not in this study"
    return ""


def _other_settings(published: Published, runs: pd.DataFrame, expected: int) -> str:
    """Say in what our runs differ from what was published, or return ""."""
    if runs.empty:
        return "no run has been recorded yet"
    if len(runs) < expected:
        return f"{len(runs)} of {expected} runs"
    if runs["simulated"].any():
        return "the scene is simulated"
    windows = set(runs["window"].dropna())
    if published.window is not None and windows - {published.window}:
        return f"window {', '.join(f'{window:g}' for window in sorted(windows))}, published {published.window}"
    for options in runs["options"].drop_duplicates():
        other = _different(published.settings, json.loads(options))
        if other:
            return other
    return ""


def _different(settings: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    for key, expected in settings.items():
        found = options.get(key)
        same = np.isclose(found, expected) if isinstance(found, float) else found == expected
        if not same:
            return f"{key} {found}, published {expected}"
    return ""

"""Where the numbers of a page come from: code, packages, devices, data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from diffclip.errors import UserError
from report.study import Study


@dataclass(frozen=True)
class Fact:
    """One line of provenance: what it is, and the values found with how many runs have each."""

    name: str
    values: tuple[tuple[str, int], ...]


def provenance(study: Study, runs: pd.DataFrame) -> list[Fact]:
    """Return what the records say of their origin; empty without records."""
    if runs.empty:
        return []
    scenes = runs["scene_title"] + ": SHA-256 " + runs["scene_sha256"]
    facts = [
        Fact("Suite", _counted(runs["suite"])),
        Fact("Commit (+: with changes not committed)", _counted(runs["commit"])),
        Fact("Devices", _counted(runs["device_name"])),
        Fact("Data of scenes", _counted(scenes)),
        Fact("CLIP weights", _counted(runs["clip_weights"])),
        Fact("Splits (scene, protocol, shots, seed)", _splits(runs)),
        Fact("Made", _days(runs["created"])),
    ]
    return [*facts, Fact("Packages", _packages(study, runs["path"]))]


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(str(value) for value in values if value).most_common())


def _splits(runs: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    return ((f"{runs['split_sha256'].nunique():,} different ones, each known by its SHA-256", len(runs)),)


def _days(created: pd.Series) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(text[:10] for text in created if text).items()))


def _packages(study: Study, paths: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Count versions of packages over all records; `runs.csv` leaves them out, as they are many."""
    found: Counter[str] = Counter()
    for path in paths:
        try:
            packages = json.loads((study.folder / path).read_bytes())["provenance"]["packages"]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{study.folder / path}: no record, expected the one that runs.csv names: {error}"
            ) from None
        found.update(f"{name} {version}" for name, version in packages.items())
    return tuple(sorted(found.items(), key=lambda item: item[0].lower()))

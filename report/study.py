"""What a study asked for, read from its `study.json`: the grid that its tables and figures show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffclip.errors import UserError, did_you_mean
from diffclip.study import layout
from diffclip.study.figures import scene_figures, study_figures
from diffclip.study.tables import ablated, prompted, scene_tables, study_tables

Row = tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """A grid of runs: the study's main one, or a sweep.

    Attributes:
        rows: (method, variant) in the order of the config.
        protocols: names of protocols.
        shots: labelled training pixels per class, ascending.
        windows: sides of the window, ascending.
        mask_ratios: shares of hidden tokens, ascending.
    """

    rows: tuple[Row, ...]
    protocols: tuple[str, ...]
    shots: tuple[int, ...]
    windows: tuple[int, ...]
    mask_ratios: tuple[float, ...]

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Windows and mask ratios by the runs' columns that hold them."""
        return {"window": self.windows, "mask_ratio": self.mask_ratios}

    def holds(self, identity: Mapping[str, Any]) -> bool:
        """Return whether a run belongs to the grid; methods without a window or mask ratio have None there."""
        return (
            (identity["method"], identity["variant"]) in self.rows
            and identity["protocol"] in self.protocols
            and identity["shots"] in self.shots
            and identity["window"] in (None, *self.windows)
            and identity["mask_ratio"] in (None, *self.mask_ratios)
        )


@dataclass(frozen=True)
class Inspection:
    """Which runs show what they learned.

    Attributes:
        rows: (method, variant) in the order of the config.
        protocol: how their pixels were drawn.
        shots: labelled training pixels per class.
        seed: which run.
    """

    rows: tuple[Row, ...]
    protocol: str
    shots: int
    seed: int


@dataclass(frozen=True)
class Study:
    """A study as its folder tells it.

    Attributes:
        folder: results/NAME.
        title: one line for reports.
        scenes: names of scenes.
        seeds: seeds of every cell.
        main: the grid of the main tables and figures (one window, one mask ratio).
        sweeps: grids over windows and mask ratios, by name.
        inspection: runs that show what they learned, or None.
        tables: (protocol, kind) of every table of each scene.
        overviews: names of the tables over all scenes.
        figures: (protocol, name) of every figure of each scene.
        overview_figures: names of the figures over all scenes.
        ablated, prompted: variants of a method that stand beside the first of them, by method.
    """

    folder: Path
    title: str
    scenes: tuple[str, ...]
    seeds: tuple[int, ...]
    main: Grid
    sweeps: Mapping[str, Grid]
    inspection: Inspection | None = None
    tables: tuple[tuple[str, str], ...] = ()
    overviews: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    overview_figures: tuple[str, ...] = ()
    ablated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prompted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def window(self) -> int:
        """Side of the window of the main grid."""
        return self.main.windows[0]

    @property
    def mask_ratio(self) -> float:
        """Share of hidden tokens of the main grid."""
        return self.main.mask_ratios[0]

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols of the main grid, then those that only sweeps have."""
        swept = (name for sweep in self.sweeps.values() for name in sweep.protocols)
        return tuple(dict.fromkeys((*self.main.protocols, *swept)))


def asked(key: str, wanted: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return all of `known`, or the one that is wanted.

    Raises:
        UserError: what is wanted is not known.
    """
    if wanted is None:
        return known
    if wanted not in known:
        hint = did_you_mean(wanted, known)
        raise UserError(f"--{key}: found {wanted!r}{hint}, expected one of the study's: {', '.join(known) or 'none'}")
    return (wanted,)


def read_study(folder: Path) -> Study:
    """Read `study.json` of a study's folder.

    Raises:
        UserError: no such file, or not what `diffclip` writes there.
    """
    path = folder / layout.STUDY
    if not path.is_file():
        raise UserError(f"{path}: not found, expected the folder of a study (results/NAME) with its {layout.STUDY}")
    try:
        found = json.loads(path.read_text())
        window, ratio = found["window"], found["mask_ratio"]
        return Study(
            folder=folder,
            title=found["title"] or found["study"],
            scenes=tuple(found["scenes"]),
            seeds=tuple(found["seeds"]),
            main=_grid(found, [window], [ratio]),
            sweeps={
                name: _grid(sweep, sweep["windows"] or [window], sweep["mask_ratios"] or [ratio])
                for name, sweep in found["sweeps"].items()
            },
            inspection=_inspection(found["inspect"]),
            tables=tuple(scene_tables(found)),
            overviews=tuple(study_tables(found)),
            figures=tuple(scene_figures(found)),
            overview_figures=tuple(study_figures(found)),
            ablated=ablated(found),
            prompted=prompted(found),
        )
    except KeyError as error:
        raise UserError(f"{path}: key {error} is missing, expected what 'diffclip' writes for a study") from None
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a study: {error}") from None


def _grid(found: Mapping[str, Any], windows: list[int], ratios: list[float]) -> Grid:
    return Grid(
        rows=tuple((method, variant) for method, variants in found["methods"].items() for variant in variants),
        protocols=tuple(found["protocols"]),
        shots=tuple(sorted(found["shots"])),
        windows=tuple(sorted(windows)),
        mask_ratios=tuple(sorted(ratios)),
    )


def _inspection(found: Mapping[str, Any] | None) -> Inspection | None:
    if found is None:
        return None
    rows = tuple((method, variant) for method, variants in found["methods"].items() for variant in variants)
    return Inspection(rows, found["protocol"], found["shots"], found["seed"])

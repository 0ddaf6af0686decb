"""What a study will cost before it runs: hours per device and disk, from runs that were measured.

Three rules carry a measured run over to another: fitting grows along a line through what was measured with the number
of training pixels, testing with the number of test pixels, and all three stages with the window's area. A method whose
options were never measured on a device is not guessed at.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from diffclip.errors import UserError
from diffclip.protocol.checkpoints import checkpoint_name
from diffclip.protocol.method import Method, Pretraining
from diffclip.scene.card import MeasuredCard, load_card
from diffclip.study.cells import Cell
from diffclip.study.config import Study

_RECORD_BYTES = 8_000  # of a record's JSON; more classes make it larger
_PIXEL_BYTES = 7  # position, class and confidence of a test pixel, before they are compressed
_WEIGHT_BYTES = 4


class Measured(NamedTuple):
    """One run of a finished study.

    Attributes:
        source: the table that it stands in.
        scene, method, protocol, shots, window, train_pixels, test_pixels, parameters: as in its record.
        options: of the method.
        device: the hardware's name and kind, e.g. "AMD EPYC (cpu)".
        pretrain, fit, predict: seconds; `pretrain` is None for methods that need no checkpoint.
    """

    source: str
    scene: str
    method: str
    protocol: str
    shots: int
    window: int | None
    train_pixels: int
    test_pixels: int
    parameters: int
    options: dict[str, Any]
    device: str
    pretrain: float | None
    fit: float
    predict: float


@dataclass
class Row:
    """One method with one set of options.

    Attributes:
        method, variant: which.
        runs: how many of the study.
        hours: per device; a device on which it was never measured is missing.
        measured: per device, how many runs stand behind that.
    """

    method: str
    variant: str
    runs: int
    hours: dict[str, float]
    measured: dict[str, int]


@dataclass
class Estimate:
    """What a study will cost.

    Attributes:
        rows: per method and variant.
        devices: that something was measured on.
        checkpoints: how many are made, each once.
        jobs: that train or test, each of which starts a process.
        disk: bytes of all records and predictions and of the checkpoints of measured methods, None where no run was
            measured; prepared scenes are not counted.
        guessed: scenes whose number of test pixels is not known, for which the mean over measured runs stands.
    """

    rows: list[Row]
    devices: list[str]
    checkpoints: int
    jobs: int
    disk: float | None
    guessed: list[str]

    def told(self, device: str | None = None) -> list[Row]:
        """Return the rows that have hours on a device, or on any."""
        return [row for row in self.rows if (device in row.hours if device else row.hours)]


def read_measured(tables: Iterable[Path]) -> list[Measured]:
    """Read the finished runs of studies' `runs.csv`, or of `runs.csv.gz` as large published ones have.

    Raises:
        UserError: no such file, one that cannot be read, or a table without the columns that runs have.
    """
    return [run for table in tables for run in _read(table)]


def _read(table: Path) -> Iterator[Measured]:
    unpacked = gzip.open if table.suffix == ".gz" else open
    try:
        with unpacked(table, "rt", encoding="utf-8", newline="") as file:
            # Programs outside of the suite are not measured.
            rows = [row for row in csv.DictReader(file) if row["status"] == "ok" and row["fit_seconds"]]
            for row in rows:
                yield Measured(
                    source=str(table),
                    scene=row["scene"],
                    method=row["method"],
                    protocol=row["protocol"],
                    shots=int(row["shots"]),
                    window=int(float(row["window"])) if row["window"] else None,
                    train_pixels=int(row["train_pixels"]),
                    test_pixels=int(row["test_pixels"]),
                    parameters=int(float(row["parameters"] or 0)),
                    options=json.loads(row["options"]),
                    device=f"{row['device_name']} ({row['device']})",
                    pretrain=float(row["pretrain_seconds"]) if row["pretrain_seconds"] else None,
                    fit=float(row["fit_seconds"]),
                    predict=float(row["predict_seconds"]),
                )
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        # Of these a missing file alone has an operating system's text.
        found = getattr(error, "strerror", None) or error
        raise UserError(f"{table}: {found}, expected a study's runs.csv") from None
    except (KeyError, ValueError) as error:
        raise UserError(f"{table}: found no usable {error}, expected a study's runs.csv") from None


def estimated(study: Study, runs: Sequence[Measured]) -> Estimate:
    """Return what a study will cost on the devices of the measured runs."""
    cells = study.cells()
    sizes = _Sizes(runs)
    rows: dict[tuple[str, str], Row] = {}
    checkpoints: dict[tuple[str, str], None] = {}
    disk = 0.0
    for cell in cells:
        made, seeds = study.made(cell), len(study.seeds)
        row = rows.setdefault((cell.method, cell.variant), Row(cell.method, cell.variant, 0, {}, {}))
        row.runs += seeds
        pretraining = made.pretraining(cell.window, cell.mask_ratio)
        new = pretraining is not None and _key(pretraining, cell) not in checkpoints
        if pretraining is not None:
            checkpoints[_key(pretraining, cell)] = None
        disk += seeds * (_RECORD_BYTES + _PIXEL_BYTES * sizes.test_pixels(cell))
        known = [run for run in runs if run.method == cell.method and _same(run.options, made)]
        if new:
            disk += seeds * _WEIGHT_BYTES * max((run.parameters for run in known), default=0)
        for device in {run.device for run in known}:
            there = [run for run in known if run.device == device]
            row.measured[device] = len(there)
            spent = seeds * _seconds(cell, there, sizes, pretrains=new)
            row.hours[device] = row.hours.get(device, 0.0) + spent / 3600
    devices = sorted({run.device for run in runs})
    return Estimate(
        list(rows.values()),
        devices,
        len(checkpoints),
        len(cells) + len(checkpoints),
        disk if runs else None,
        sizes.guessed,
    )


def _key(pretraining: Pretraining, cell: Cell) -> tuple[str, str]:
    return pretraining.scene or cell.scene, checkpoint_name(pretraining)


def _same(options: dict[str, Any], made: Method) -> bool:
    """Return whether a run had these options; those that it did not know yet do not count, and one is a list of one."""
    ours = json.loads(json.dumps(made.settings(), default=list))
    return all(ours[name] in (value, [value]) for name, value in options.items() if name in ours)


class _Sizes:
    """How many pixels a cell trains and tests on, from its scene's card or from measured runs on that scene."""

    def __init__(self, runs: Sequence[Measured]) -> None:
        self._runs = runs
        self.guessed: list[str] = []

    def train_pixels(self, cell: Cell) -> int:
        card = load_card(cell.scene)
        if isinstance(card, MeasuredCard):
            return cell.shots * len(card.classes)
        per_shot = [run.train_pixels / run.shots for run in self._runs if run.scene == cell.scene]
        per_shot = per_shot or [run.train_pixels / run.shots for run in self._runs]
        return round(cell.shots * median(per_shot)) if per_shot else cell.shots

    def test_pixels(self, cell: Cell) -> float:
        here = [run for run in self._runs if run.scene == cell.scene]
        if not here and cell.scene not in self.guessed:
            self.guessed.append(cell.scene)
        same = [run for run in here if run.protocol == cell.protocol] or here or list(self._runs)
        return float(np.mean([run.test_pixels for run in same])) if same else 0.0


def _seconds(cell: Cell, runs: Sequence[Measured], sizes: _Sizes, *, pretrains: bool) -> float:
    """Return the seconds of one run, its checkpoint included where this cell is the first to need it."""
    windows = sorted({run.window for run in runs if run.window}, key=lambda side: abs(side - (cell.window or side)))
    near = [run for run in runs if run.window == windows[0]] if windows else list(runs)
    area = (cell.window / windows[0]) ** 2 if windows and cell.window else 1.0
    fit = _on_line(sizes.train_pixels(cell), near)
    predict = median(run.predict / max(1, run.test_pixels) for run in near) * sizes.test_pixels(cell)
    pretrain = [run.pretrain for run in near if run.pretrain is not None] if pretrains else []
    return area * (fit + predict + (median(pretrain) if pretrain else 0.0))


def _on_line(pixels: int, runs: Sequence[Measured]) -> float:
    """Return the seconds of fitting so many pixels, from a line through the medians of what was measured."""
    counts = sorted({run.train_pixels for run in runs})
    seconds = [median(run.fit for run in runs if run.train_pixels == count) for count in counts]
    if len(counts) == 1:
        return seconds[0] * pixels / counts[0]
    slope, base = np.polyfit(counts, seconds, 1)
    # A falling line is noise about a constant, and no line may lead below nothing.
    return max(float(base + slope * pixels), 0.0) if slope > 0 else float(np.median(seconds))

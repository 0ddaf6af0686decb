"""Stored predictions -> `predictions.csv`: whether they give what records say, and how many are right near training."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffclip.errors import UserError
from diffclip.files import write_atomically
from diffclip.study import layout
from report.frame import View, read_runs
from report.prepared import read_facts, read_raster, scene_file
from report.stored import read_arrays, read_record, read_table
from report.study import Study

logger = logging.getLogger(__name__)

COLUMNS = ("path", "pixels", "right", "near", "near_right")


def check(study: Study) -> Path:
    """Compare the stored predictions of every run that went well with its record; write `predictions.csv`.

    Of every run it tells the test pixels and how many are right; of those `near` a training pixel, in that windows of
    the study's side overlap, the same. The window is the study's for all methods, so that they meet the same pixels; a
    method that sees single pixels then tells what nearness alone does. Without the split's file `near` stays empty.

    Runs without any stored predictions have no row and are counted aloud: nothing can be said of them.

    Raises:
        UserError: predictions that cannot be read, or others than those that the record's confusion matrix counts.
    """
    runs = read_runs(study)
    good = runs[runs["status"] == "ok"]
    reach = study.window // 2
    rows: list[dict[str, Any]] = []
    bare: list[str] = []
    for (scene, protocol, shots, seed), group in good.groupby(["scene", "protocol", "shots", "seed"], sort=False):
        ground = _Ground(study.folder, str(scene))
        split = study.folder / layout.SPLIT.format(scene=scene, protocol=protocol, shots=shots, seed=seed)
        near = _near(split, ground.labels.shape, reach)
        stored = [path for path in group["path"] if (study.folder / layout.predictions_of(str(path))).is_file()]
        bare += [str(path) for path in group["path"] if path not in stored]
        rows += [_row(study, str(path), ground, near) for path in stored]
    place = {path: at for at, path in enumerate(good["path"])}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: place[row["path"]]))
    logger.info("predictions of %d runs give what their records say", len(rows))
    if bare:
        logger.warning(
            "%d runs have no stored predictions beside their records, one is %s: they could not be checked, and some "
            "figures cannot be drawn; remove such records and run the study again, which makes them anew",
            len(bare),
            study.folder / bare[0],
        )
    return write_atomically(study.folder / layout.PREDICTIONS, lambda file: file.write(text.getvalue().encode()))


def read_checked(study: Study) -> pd.DataFrame | None:
    """Return `predictions.csv` by path of the record, or None where it has not been made.

    Raises:
        UserError: a damaged file.
    """
    path = study.folder / layout.PREDICTIONS
    if not path.is_file():
        return None
    kinds = dict.fromkeys(COLUMNS, "float64") | {"path": "object"}
    again = f"make it again with 'python -m report check --study {study.folder}'"
    return read_table(path, kinds, again).set_index("path")


def near_shares(view: View, checked: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return accuracy near training pixels and elsewhere, and the share of near ones, as (entries, shots, seeds)."""
    found = checked.reindex(view.good["path"]).set_index(view.good.index)
    away = found["pixels"] - found["near"]
    # A split may have no pixels on one side.
    series = {
        "near": 100 * found["near_right"] / found["near"].where(found["near"] > 0),
        "away": 100 * (found["right"] - found["near_right"]) / away.where(away > 0),
        "share": 100 * found["near"] / found["pixels"],
    }
    return {key: view.scores(values) for key, values in series.items()}


@dataclass(frozen=True, eq=False)
class _Ground:
    """Labels and class names of a prepared scene."""

    folder: Path
    scene: str

    @cached_property
    def labels(self) -> np.ndarray:
        """(H, W), 0 = unlabelled, 1..K = classes."""
        return _labels(self.folder, self.scene)

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Class numbers by name."""
        return {name: number for number, name in enumerate(self._facts["class_names"], start=1)}

    @property
    def sha256(self) -> str:
        """Checksum of the scene."""
        return self._facts["sha256"]

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        found = read_facts(self.folder, self.scene)
        if found is None:
            path = scene_file(self.folder, self.scene)
            raise UserError(f"{path}: not found, expected the prepared scene, without which predictions tell nothing")
        return found


@lru_cache(maxsize=8)
def _labels(folder: Path, scene: str) -> np.ndarray:
    return read_raster(folder, scene, "labels")


def _near(split: Path, shape: tuple[int, ...], reach: int) -> np.ndarray | None:
    """Return 0 for a training pixel, 1 where windows of the reach overlap a training window, 2 elsewhere; flat."""
    if not split.is_file():
        return None
    train = read_arrays(split, "remove it so that it is drawn again", ("train",))["train"]
    if train.ndim != 1 or train.dtype.kind != "i" or not (train >= 0).all() or not (train < np.prod(shape)).all():
        raise UserError(f"{split}: train: found other than pixels of the scene; remove it so that it is drawn again")
    near = np.full(shape, 2, dtype=np.uint8)
    for row, column in zip(*np.unravel_index(train, shape), strict=True):
        near[max(row - 2 * reach, 0) : row + 2 * reach + 1, max(column - 2 * reach, 0) : column + 2 * reach + 1] = 1
    near.ravel()[train] = 0
    return near.ravel()


def _row(study: Study, path: str, ground: _Ground, near: np.ndarray | None) -> dict[str, Any]:
    record = study.folder / path
    pixels, predicted = _stored(record)
    found = read_record(study.folder, path)
    for wrong in _wrong(found, pixels, predicted, ground, near):
        raise UserError(f"{record}: {wrong}")
    right = ground.labels.ravel()[pixels] == predicted
    row = {"path": path, "pixels": len(pixels), "right": int(right.sum())}
    if near is not None:
        close = near[pixels] == 1
        row |= {"near": int(close.sum()), "near_right": int(right[close].sum())}
    return row


def _stored(record: Path) -> tuple[np.ndarray, np.ndarray]:
    path = Path(layout.predictions_of(str(record)))
    again = f"remove it and its record {record} so that the run is made again"
    stored = read_arrays(path, again, ("pixels", "predicted"))
    return stored["pixels"], stored["predicted"]


def _wrong(
    record: Mapping[str, Any], pixels: np.ndarray, predicted: np.ndarray, ground: _Ground, near: np.ndarray | None
) -> Iterator[str]:
    """Yield what in a record its stored predictions do not give."""
    labels = ground.labels.ravel()
    if record["provenance"]["scene_sha256"] != ground.sha256:
        yield "scene_sha256: found another than that of the prepared scene, whose labels tell nothing of this run"
        return
    if len(pixels) != len(predicted) or len(pixels) != record["split"]["test_pixels"]:
        tested = record["split"]["test_pixels"]
        yield f"stored predictions: found {len(predicted)} of {len(pixels)} pixels, expected test_pixels = {tested}"
        return
    if len(pixels) and not (pixels.min() >= 0 and pixels.max() < len(labels) and (np.diff(pixels) > 0).all()):
        yield "stored predictions: found pixels twice, out of order or outside of the scene"
        return
    if near is not None and (near[pixels] == 0).any():
        yield f"stored predictions: {(near[pixels] == 0).sum()} of their pixels are training pixels of the split"
    classes = np.array([ground.numbers.get(name, 0) for name in record["class_names"]])
    place = np.full(max(256, int(labels.max()) + 1), -1)
    place[classes] = np.arange(len(classes))
    truth, guess = place[labels[pixels]], place[predicted]
    if min(truth.min(initial=0), guess.min(initial=0)) < 0:
        yield "stored predictions: found pixels or predictions of classes that the record does not know"
        return
    counted = np.bincount(truth * len(classes) + guess, minlength=len(classes) ** 2).reshape(len(classes), -1)
    expected = np.array(record["confusion"])
    if not np.array_equal(counted, expected):
        oa, told = (100 * np.trace(found) / max(found.sum(), 1) for found in (counted, expected))
        yield f"stored predictions give another confusion matrix: OA {oa:.2f}, in the record {told:.2f}"

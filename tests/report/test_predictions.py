"""Stored predictions against records: what they tell, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.__main__ import main

RECORD = "records/toy/paper/diffclip/tuned/shots-2_window-5_mask-0.6/seed-0.json"


@pytest.fixture
def folder(fake: Callable[..., Any]) -> Path:
    """A study of one method and two runs with their splits, to be broken by tests."""
    made = fake(methods=fake().methods[1:2], protocols=("paper",), shots=(2,), seeds=(0, 1), sweeps={}).write()
    assert main(["runs", "--study", str(made)]) == 0
    return made


def stored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as found:
        return dict(found)


def test_right_pixels_are_counted_near_training_pixels_and_elsewhere(folder: Path) -> None:
    assert main(["check", "--study", str(folder)]) == 0
    with (folder / "predictions.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["path"] == RECORD
    labels = np.load(folder / "scenes/toy/labels.npy")
    predictions = stored(folder / RECORD.replace(".json", ".npz"))
    train = stored(folder / "splits/toy/paper/shots-2/seed-0.npz")["train"]
    right = labels.ravel()[predictions["pixels"]] == predictions["predicted"]
    rows, columns = np.divmod(predictions["pixels"], labels.shape[1])
    away = np.maximum(abs(rows[:, None] - train // labels.shape[1]), abs(columns[:, None] - train % labels.shape[1]))
    # Windows of side 5 overlap up to 4 pixels apart.
    near = away.min(axis=1) <= 4
    assert 0 < near.sum() < len(near)
    found = [int(row[key]) for key in ("pixels", "right", "near", "near_right")]
    assert found == [len(right), right.sum(), near.sum(), right[near].sum()]


def test_without_the_split_nearness_is_not_told(folder: Path) -> None:
    (folder / "splits/toy/paper/shots-2/seed-1.npz").unlink()
    assert main(["check", "--study", str(folder)]) == 0
    with (folder / "predictions.csv").open(newline="") as file:
        assert [row["near"] == "" for row in csv.DictReader(file)] == [False, True]


def test_runs_without_stored_predictions_are_counted_aloud(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / RECORD).with_suffix(".npz").unlink()
    assert main(["check", "--study", str(folder)]) == 0
    assert "1 runs have no stored predictions beside their records, one is " in caplog.text
    assert "remove such records and run the study again" in caplog.text
    with (folder / "predictions.csv").open(newline="") as file:
        assert [Path(row["path"]).name for row in csv.DictReader(file)] == ["seed-1.json"]


def flip(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    predicted = found["predicted"].copy()
    predicted[0] = predicted[0] % 3 + 1
    return found | {"predicted": predicted}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flip, "give another confusion matrix"),
        (lambda found: {key: value[1:] for key, value in found.items()}, "expected test_pixels"),
        (lambda found: found | {"pixels": found["pixels"][::-1]}, "twice, out of order or outside"),
        (lambda found: found | {"predicted": found["predicted"] + 9}, "classes that the record does not know"),
        (lambda found: {"pixels": found["pixels"]}, "seed-0.npz: cannot be read"),
    ],
)
def test_predictions_that_do_not_give_the_record_are_refused_by_name(
    folder: Path, change: Callable[..., Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / RECORD.replace(".json", ".npz")
    np.savez(path, **change(stored(path)))
    assert main(["check", "--study", str(folder)]) == 2
    told = capsys.readouterr().err
    assert RECORD in told
    assert said in told


def test_a_tested_training_pixel_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = folder / "splits/toy/paper/shots-2/seed-0.npz"
    tested = stored(folder / RECORD.replace(".json", ".npz"))["pixels"][:1]
    found = stored(split)
    np.savez(split, **found | {"train": np.concatenate([found["train"], tested])})
    assert main(["check", "--study", str(folder)]) == 2
    assert "are training pixels of the split" in capsys.readouterr().err

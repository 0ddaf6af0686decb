"""The record of a run: what was run, how well it did, what it cost, and where it comes from; predictions beside it.

Percentages everywhere: overall, average and per-class accuracy, macro F1 and kappa are times 100.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float16, Int32, UInt8
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffclip.errors import DamagedFileError, UserError
from diffclip.files import read_arrays, write_atomically
from diffclip.validation import problems


class _Typed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Typed):
    """Which run this is."""

    scene: str
    method: str
    variant: str
    protocol: str
    shots: int
    window: int | None = Field(description="side of the window in pixels; null where the method has none")
    mask_ratio: float | None = Field(description="share of hidden tokens; null where the method hides none")
    seed: int


class Traits(_Typed):
    """What tables must say of a row."""

    title: str = Field(description="the method's name in tables and figures")
    scene_title: str
    simulated: bool = Field(description="true when no sensor ever saw the scene")
    reach: int | Literal["scene"] = Field(description="pixels around the classified one that are looked at")
    transductive: bool = Field(description="true when unlabelled pixels of the tested scene are learned from")
    control: bool = Field(description="true for true_labels and random_labels")
    clip_weights: str = Field(
        description='"none", "random", "embedded", MODEL/TAG of open_clip, FILE (checksum); or "file: " and one of them'
    )


class SplitFacts(_Typed):
    """How training and test pixels lie."""

    margin: int | None = Field(description="least distance in pixels between training and test pixels; null: none kept")
    train_pixels: int
    test_pixels: int
    validation_pixels: int = Field(default=0, description="labelled pixels that chose among the run's fits")
    test_pixels_per_class: dict[str, int]
    skipped_classes: list[str] = Field(description="classes too small for the shots, left out of this run")
    overlap_percent: float | None = Field(
        description="share of test windows that overlap a training window; null for scene-wide methods without windows"
    )
    contains_percent: float | None = Field(
        description="share of test windows that contain a training pixel; null for scene-wide methods without windows"
    )


class Metrics(_Typed):
    """Accuracy in percent."""

    oa: float = Field(description="overall accuracy")
    aa: float = Field(description="average accuracy: mean of the classes' accuracies")
    kappa: float = Field(description="Cohen's kappa, times 100")
    macro_f1: float
    per_class: dict[str, float] = Field(description="accuracy (recall) of every class")


class Cost(_Typed):
    """What the run cost on this device; differs between executions."""

    pretrain_seconds: float | None = Field(description="of the checkpoint used, which its cells share")
    fit_seconds: float = Field(
        description="of the run, without loading libraries; of seeds trained together, their time divided by their "
        "number"
    )
    seeds_together: int = Field(default=1, description="runs that were trained as one model, this one included")
    alone_because: str | None = Field(
        default=None, description="why this run was trained alone after training several seeds together had failed"
    )
    predict_seconds: float
    peak_memory_mb: float = Field(
        description="of the process so far; on a GPU, of the device during the training and testing"
    )
    energy_joules: float | None = Field(
        default=None,
        description="of training and testing, as the GPU's board or the processor's packages count it, with all that "
        "ran on them beside; of seeds trained together, a share; null where the device does not tell",
    )
    parameters: int | None
    device: str = Field(description='"cpu" or "cuda"')
    device_name: str


class Provenance(_Typed):
    """Where the record comes from."""

    suite: str = Field(description="version of the suite")
    commit: str | None = Field(description="git commit, with '+' when files were changed; null outside of git")
    packages: dict[str, str]
    host: str
    created: str = Field(description="UTC, ISO 8601")
    scene_sha256: str
    split_sha256: str
    config_sha256: str = Field(description="of identity, options and margin")
    sources_sha256: str = Field(description="of the method's source files and all of ours that they import")
    checkpoint_sha256: str | None
    embedded_clip_sha256: str | None = Field(default=None, description="of the embedded CLIP's weights, where used")


class Record(_Typed):
    """One run."""

    status: Literal["ok", "failed"]
    reason: str | None = Field(default=None, description="why a failed run failed")
    fingerprint: str = Field(description="checksum of everything that decides the result")
    identity: Identity
    traits: Traits
    options: dict[str, Any]
    split: SplitFacts
    metrics: Metrics | None = Field(default=None, description="null for a failed run")
    class_names: list[str] = Field(description="rows and columns of the confusion matrix")
    confusion: list[list[int]] | None = Field(default=None, description="truth by row, prediction by column")
    cost: Cost | None = Field(default=None, description="null for failed runs and programs outside of the suite")
    provenance: Provenance


def write_record(record: Record, path: Path) -> None:
    """Write the record as JSON under a temporary name and rename it: never half a record."""
    text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        UserError: no such file, not JSON, or keys and values that no record has (each is named).
    """
    try:
        return Record.model_validate(json.loads(path.read_text()))
    except ValidationError as error:
        raise UserError("\n".join(problems(Record, error, str(path)))) from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a record: {error}") from None


def write_predictions(
    path: Path,
    pixels: Int32[np.ndarray, " n"],
    predicted: UInt8[np.ndarray, " n"],
    confidence: Float16[np.ndarray, " n"],
) -> None:
    """Write what was predicted for every test pixel, compressed.

    Args:
        path: an .npz file.
        pixels: (n,) flat positions in the scene.
        predicted: (n,) class numbers as in the scene (1..K).
        confidence: (n,) share of the predicted class in the softmax of the scores.
    """
    write_atomically(
        path, lambda file: np.savez_compressed(file, pixels=pixels, predicted=predicted, confidence=confidence)
    )


def read_predictions(record: Path) -> dict[str, np.ndarray]:
    """Return `pixels`, `predicted` and `confidence` that lie beside a record (see `write_predictions`).

    Raises:
        UserError: no such file, or not whole.
    """
    path = record.with_suffix(".npz")
    try:
        return read_arrays(path, "pixels", "predicted", "confidence")
    except DamagedFileError as error:
        raise UserError(f"{path}: no predictions beside the record: {error.reason}") from None

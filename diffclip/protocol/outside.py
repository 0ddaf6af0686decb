"""Programs outside of the suite: what they are given, and how what they answer becomes a method's scores.

A program, in any language and environment, reads two .npz files and writes one .csv (docs/add-a-baseline.md).
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from diffclip.errors import DamagedFileError, UserError
from diffclip.files import read_arrays, write_atomically
from diffclip.protocol.method import Method, Scores
from diffclip.protocol.splits import Split
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Imagery, PixelIndex

log = logging.getLogger(__name__)


class Outside(Method):
    """A program that a rule in `workflow/outside/` runs; the variant's name is the program's.

    Its answers decide a run's fingerprint. What it looks at is declared in the study. What it costs is not measured
    here: the record says nothing of it.

    Attributes:
        answers: the .csv that the program wrote for this run; set by the suite before `train`.
    """

    title = "Outside program"
    reference = "docs/add-a-baseline.md"
    answers: Path

    @dataclass(frozen=True)
    class Options:
        """What the program looks at.

        Attributes:
            reach: pixels around a classified pixel, or "scene" for features of all of it.
            transductive: it learns from unlabelled pixels of the scene.
        """

        reach: int | Literal["scene"] = "scene"
        transductive: bool = False

        def __post_init__(self) -> None:
            if self.reach != "scene" and self.reach < 0:
                raise ValueError(f'reach: found {self.reach}, expected 0 or more, or "scene"')

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        self.transductive = self.options.transductive

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Return what the study declares."""
        return self.options.reach

    def fit(self, task: FewShotTask) -> None:
        """Read the answers."""
        pixels, self.scores = read_answers(self.answers, task.classes, task.scene.n_pixels)
        self.rows = np.full(task.scene.n_pixels, -1)
        self.rows[pixels] = np.arange(len(pixels))

    def refuse_others(self, tested: PixelIndex) -> None:
        """Refuse answers for other pixels than a run tests.

        Raises:
            UserError: there are some.
        """
        others = np.setdiff1d(np.flatnonzero(self.rows >= 0), tested)
        if len(others):
            raise UserError(
                f"{self.answers}: found answers for pixel {others[0]} and {len(others) - 1} more that this run does "
                "not test, expected them for the task's test_pixels alone: they may be to the task of another split"
            )

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the scores that the program gave."""
        rows = self.rows[pixels]
        missing = pixels[rows < 0]
        if len(missing):
            raise UserError(
                f"{self.answers}: found no answer for pixel {missing[0]} and {len(missing) - 1} more, expected one for "
                "every entry of the task's test_pixels"
            )
        return self.scores[rows]


def read_answers(path: Path, classes: np.ndarray, n_pixels: int) -> tuple[PixelIndex, Scores]:
    """Read the answers of a program: a header and a line per pixel.

    The header is `pixel,label`, or `pixel` and every class number for scores, the higher the likelier.

    Args:
        path: the .csv file.
        classes: (K,) class numbers, ascending.
        n_pixels: H * W.

    Returns:
        (n,) flat positions, and (n, K) scores; a label alone scores 1 among zeros.

    Raises:
        UserError: no such file or header, no UTF-8, or values that are no pixels, classes or finite scores.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such answers; a rule in workflow/outside makes them, see docs/add-a-baseline.md")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: found bytes that are no UTF-8 (from {error.start} on), expected text") from None
    header = [word.strip() for word in lines[0].split(",")] if lines else []
    of_scores = ["pixel", *map(str, classes)]
    if header not in (["pixel", "label"], of_scores):
        expected = f"'pixel,label' or '{','.join(of_scores)}'"
        raise UserError(f"{path}: header: found {','.join(header) or 'nothing'!r}, expected {expected}")
    try:
        table = np.loadtxt(lines[1:], delimiter=",", ndmin=2).reshape(-1, len(header))
    except ValueError as error:
        raise UserError(f"{path}: found lines that are no {len(header)} numbers: {error}") from None
    pixels = table[:, 0].astype(np.int64)
    wrong = (pixels != table[:, 0]) | (pixels < 0) | (pixels >= n_pixels)
    if wrong.any():
        raise UserError(f"{path}: pixel: found {table[wrong, 0][0]:g}, expected whole numbers from 0 to {n_pixels - 1}")
    if len(np.unique(pixels)) < len(pixels):
        raise UserError(f"{path}: pixel: found one twice, expected one line per pixel")
    if header == of_scores:
        if not np.isfinite(table).all():
            raise UserError(f"{path}: found scores that are not finite")
        return pixels, table[:, 1:]
    unknown = ~np.isin(table[:, 1], classes)
    if unknown.any():
        raise UserError(
            f"{path}: label: found {table[unknown, 1][0]:g}, expected one of {', '.join(map(str, classes))}"
        )
    return pixels, (table[:, 1:] == classes).astype(np.float64)


def export_imagery(imagery: Imagery, path: Path) -> Path:
    """Write what the sensors saw as .npz, unless the file has it already; return `path`.

    Keys: `hsi` (H, W, B) and `aux` (H, W, C) as loaded, not scaled; `aux_names`; `wavelengths` in nm, empty where
    unknown; `sha256` of the two arrays.
    """
    digest = hashlib.sha256(imagery.hsi.tobytes() + imagery.aux.tobytes()).hexdigest()
    try:
        if path.is_file() and str(read_arrays(path, "sha256")["sha256"]) == digest:
            return path
    except DamagedFileError as error:
        log.warning(error.again)
    arrays = {
        "hsi": imagery.hsi,
        "aux": imagery.aux,
        "aux_names": np.array(imagery.info.aux_names, dtype=np.str_),
        "wavelengths": np.array(imagery.info.wavelengths, dtype=np.float64),
        "sha256": np.array(digest),
    }
    return write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def export_task(task: FewShotTask, split: Split, path: Path) -> Path:
    """Write a task without its imagery as .npz; return `path`. No label of a test pixel is in it.

    Keys: `train_pixels` (n,), flat positions (row * W + column), and `train_labels` (n,), their classes; `test_pixels`
    (m,), the positions to classify; `classes` (K,), the class numbers, with `class_names` and `class_descriptions`
    (empty where the scene has none); `shape` (H, W); `shots`; `seed`, for the program's own randomness; `split_sha256`,
    by which `check_task` knows the split.
    """
    arrays = {
        "train_pixels": task.train_pixels,
        "train_labels": task.train_labels,
        "test_pixels": split.test,
        "classes": task.classes,
        "class_names": np.array(task.class_names, dtype=np.str_),
        "class_descriptions": np.array(task.class_descriptions, dtype=np.str_),
        "shape": np.array(task.scene.shape),
        "shots": np.array(task.shots),
        "seed": np.array(task.seed),
        "split_sha256": np.array(split.sha256),
    }
    return write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def check_task(path: Path, split: Split, answers: Path) -> None:
    """Refuse answers to a task of another split than they are to be scored on.

    Args:
        path: the task that the program answered, as `export_task` wrote it.
        split: of the run that is to be scored.
        answers: the .csv that the program wrote.

    Raises:
        UserError: no such task, or one of another split.
    """
    margin = "" if split.margin is None else f", whose margin is {split.margin}"
    expected = f"expected that of this run{margin}; export the task with 'diffclip task' and answer it again"
    try:
        found = str(read_arrays(path, "split_sha256")["split_sha256"])
    except DamagedFileError as error:
        raise UserError(f"{answers}: found no task that it answers ({path}: {error.reason}), {expected}") from None
    if found != split.sha256:
        raise UserError(f"{answers}: answers the task {path}: split_sha256: found that of another split, {expected}")

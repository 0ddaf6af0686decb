"""How few-shot training and test pixels are drawn, under three protocols; pure functions of labels, masks and a seed.

A split depends on (scene, protocol, shots, seed) and never on the method, so that all methods meet the same splits and
differences between them are paired. Under `paper` and `standard` the training pixels of fewer shots are a subset of
those of more shots at the same seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int, Int64
from scipy.ndimage import distance_transform_cdt

from diffclip.errors import DamagedFileError, UserError
from diffclip.files import read_arrays, write_atomically
from diffclip.randomness import rng
from diffclip.scene.scene import PixelIndex, Scene

ProtocolName = Literal["paper", "standard", "strict"]

# paper: validation labels are so many pixels, out of this share of the labelled pixels that do not train.
_VALIDATION, _POOL = 200, 0.2
# strict: draws with two places per class (from two shots on), then with one, before the best draw so far is taken.
_DRAWS = {2: 25, 1: 75}
# strict: a draw is taken at once when every class keeps this share of its pixels for testing.
_KEEP = 0.25


@dataclass(frozen=True, eq=False)
class Split:
    """One draw of training and test pixels.

    Attributes:
        train: flat positions of the training pixels, class by class.
        test: flat positions of the test pixels, ascending.
        skipped: classes left out because they are too small for the shots.
        margin: least chessboard distance between training and test pixels that was kept, or None.
    """

    train: PixelIndex
    test: PixelIndex
    skipped: tuple[int, ...] = ()
    margin: int | None = None

    @cached_property
    def sha256(self) -> str:
        """Checksum of the split."""
        digest = hashlib.sha256(repr((self.skipped, self.margin)).encode())
        digest.update(self.train.astype(np.int64).tobytes())
        digest.update(b"|" + self.test.astype(np.int64).tobytes())
        return digest.hexdigest()


def draw_split(
    scene: Scene,
    protocol: ProtocolName,
    shots: int,
    seed: int,
    *,
    margin: int = 1,
    on_small_class: Literal["error", "skip"] = "error",
) -> Split:
    """Draw the split of a scene under a protocol.

    Args:
        scene: labels, and for `standard` the official masks.
        protocol: "paper" draws from all labelled pixels and tests on all others; "standard" draws from the official
            training mask and tests on the official test mask; "strict" draws each class from few compact places and
            tests on labelled pixels at least `margin` away from every training pixel.
        shots: training pixels per class.
        seed: which draw.
        margin: `strict` only, chessboard distance in pixels, at least 1.
        on_small_class: what becomes of a class with too few pixels: an error, or it is left out of the split.

    Raises:
        UserError: a class is too small, the scene has no official masks, or no strict split keeps every class.
    """
    if shots < 1 or margin < 1:
        raise UserError(f"split: found shots {shots} and margin {margin}, expected 1 or more of both")
    if protocol == "standard":
        if scene.train_mask is None or scene.test_mask is None:
            raise UserError(
                f"scene {scene.name}: protocol standard: found no official train and test masks, expected both; "
                "use the protocols paper or strict"
            )
        candidates, tests = scene.labels * scene.train_mask, scene.labels * scene.test_mask
    else:
        candidates = tests = scene.labels
    skipped = _small_classes(scene, candidates, tests, protocol, shots, on_small_class)
    candidates = np.where(np.isin(candidates, skipped), 0, candidates)
    tests = np.where(np.isin(tests, skipped), 0, tests)
    if protocol == "strict":
        return _strict(scene, candidates, shots, seed, margin, skipped)
    train = np.concatenate([_shuffled(candidates, int(k), seed, protocol)[:shots] for k in _classes(candidates)])
    test = np.setdiff1d(np.flatnonzero(tests), train)
    return Split(train, test, skipped)


def draw_validation(scene: Scene, split: Split, seed: int) -> PixelIndex:
    """Draw the labelled pixels by which DiffCLIP's released code picks its checkpoint; protocol `paper` only.

    They are 200 pixels, not stratified by class, of a random fifth of the labelled pixels that do not train; all of
    that fifth where it is smaller, and at least one.

    Args:
        scene: labels.
        split: training pixels; skipped classes give none.
        seed: which draw.
    """
    labels = np.where(np.isin(scene.labels, split.skipped), 0, scene.labels)
    rest = np.setdiff1d(np.flatnonzero(labels), split.train)
    count = max(1, min(_VALIDATION, int(_POOL * len(rest))))
    return np.sort(rng(seed, "split", "validation").permutation(rest)[:count])


def _classes(labels: Int[np.ndarray, "H W"]) -> Int64[np.ndarray, " K"]:
    found = np.unique(labels)
    return found[found > 0].astype(np.int64)


def _shuffled(labels: Int[np.ndarray, "H W"], k: int, seed: int, protocol: str) -> PixelIndex:
    return rng(seed, "split", protocol, k).permutation(np.flatnonzero(labels == k))


def _small_classes(
    scene: Scene,
    candidates: Int[np.ndarray, "H W"],
    tests: Int[np.ndarray, "H W"],
    protocol: str,
    shots: int,
    on_small_class: str,
) -> tuple[int, ...]:
    """Return the classes that cannot give `shots` training pixels and still have one to test; or raise for them."""
    ids = scene.n_classes + 1
    counts = np.bincount(candidates.ravel(), minlength=ids)
    # However the shots fall, so many test pixels are left; under `paper` any labelled pixel may train.
    left = np.bincount(tests.ravel(), minlength=ids) - np.bincount(tests[candidates > 0], minlength=ids).clip(max=shots)
    small = {
        k: f"{counts[k]} pixels to draw from, {left[k]} left to test on"
        for k in range(1, ids)
        if counts[k] < shots or left[k] < 1
    }
    where = f"scene {scene.name}: protocol {protocol}, {shots} shots"
    if small and on_small_class == "error":
        raise UserError(
            "\n".join(
                f"{where}: class {k} ({scene.class_names[k - 1]}) has {found}; expected {shots} or more to draw from "
                "and one or more left; ask for fewer shots or set on_small_class: skip"
                for k, found in small.items()
            )
        )
    if len(small) > scene.n_classes - 2:
        raise UserError(
            f"{where}: {scene.n_classes - len(small)} classes have pixels enough, expected at least two; "
            "ask for fewer shots"
        )
    return tuple(small)


def _strict(
    scene: Scene, labels: Int[np.ndarray, "H W"], shots: int, seed: int, margin: int, skipped: tuple[int, ...]
) -> Split:
    """Sample under control (Liang et al., arXiv 1605.05829): draw again until every class keeps test pixels."""
    classes = _classes(labels)
    totals = np.bincount(labels.ravel())[classes]
    best, best_kept, most = None, np.zeros(len(classes)), -1.0
    for train in _strict_draws(labels, classes, shots, seed):
        test = np.flatnonzero((labels > 0) & (distance_to(train, labels.shape) >= margin))
        kept = np.bincount(labels.ravel()[test], minlength=classes[-1] + 1)[classes]
        least = float((kept / totals).min())
        if least > most:
            best, best_kept, most = Split(train, test, skipped, margin), kept, least
        if least >= _KEEP:
            break
    if best is None or most <= 0.0:
        draws = sum(number for places, number in _DRAWS.items() if places <= shots)
        lost = ", ".join(f"{k} ({scene.class_names[k - 1]})" for k in classes[best_kept == 0])
        raise UserError(
            f"scene {scene.name}: protocol strict, {shots} shots, seed {seed}: no draw out of {draws} "
            f"leaves test pixels {margin} or more away from all training pixels; class {lost} was left with none in "
            "the best; use a smaller margin (smaller windows) or fewer shots"
        )
    return best


def _strict_draws(
    labels: Int[np.ndarray, "H W"], classes: Int64[np.ndarray, " K"], shots: int, seed: int
) -> Iterator[PixelIndex]:
    """Yield training pixels drawn from two compact places per class, then from one."""
    pixels = {int(k): np.flatnonzero(labels == k) for k in classes}
    width = labels.shape[1]
    for places, draws in _DRAWS.items():
        if places > shots:
            continue
        for draw in range(draws):
            yield np.concatenate(
                [
                    _compact(pixels[int(k)], width, shots, places, rng(seed, "split", "strict", places, draw, int(k)))
                    for k in classes
                ]
            )


def _compact(pixels: PixelIndex, width: int, shots: int, places: int, generator: np.random.Generator) -> PixelIndex:
    """Return `shots` of a class's pixels: in turn the nearest free ones around each of `places` random centres."""
    rows, columns = pixels // width, pixels % width
    free = np.ones(len(pixels), dtype=bool)
    chosen: list[int] = []
    for place, centre in enumerate(generator.choice(len(pixels), size=places, replace=False)):
        share = (shots * (place + 1)) // places - len(chosen)
        distance = (rows - rows[centre]) ** 2 + (columns - columns[centre]) ** 2
        nearest = np.argsort(np.where(free, distance, np.iinfo(np.int64).max), kind="stable")[:share]
        free[nearest] = False
        chosen += nearest.tolist()
    return pixels[chosen]


def distance_to(pixels: PixelIndex, shape: tuple[int, int]) -> Int[np.ndarray, "H W"]:
    """Return the chessboard distance of every pixel of a scene to the nearest of `pixels`."""
    away = np.ones(shape, dtype=bool)
    away.ravel()[pixels] = False
    return distance_transform_cdt(away, metric="chessboard")


def window_overlap(split: Split, shape: tuple[int, int], reach: int) -> tuple[float, float]:
    """Return how far a split leaks through windows, in percent of the test pixels.

    Args:
        split: training and test pixels.
        shape: (H, W) of the scene.
        reach: pixels that a method looks at on every side of the classified one.

    Returns:
        Share of test windows that share a pixel with a training window, and that contain a training pixel.
    """
    distance = distance_to(split.train, shape).ravel()[split.test]
    return 100 * float((distance <= 2 * reach).mean()), 100 * float((distance <= reach).mean())


def save_split(split: Split, path: Path) -> None:
    """Write a split as .npz with the keys `train`, `test`, `skipped` and, where one was kept, `margin`."""
    arrays: dict[str, np.ndarray] = {
        "train": split.train.astype(np.int32),
        "test": split.test.astype(np.int32),
        "skipped": np.asarray(split.skipped, dtype=np.int16),
    }
    if split.margin is not None:
        arrays["margin"] = np.asarray(split.margin, dtype=np.int16)
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def read_split(path: Path) -> Split:
    """Read what `save_split` wrote.

    Raises:
        UserError: no such file.
        DamagedFileError: it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such split; make it with 'diffclip split'")
    stored = read_arrays(path)
    if missing := {"train", "test", "skipped"} - stored.keys():
        raise DamagedFileError(path, f"found no {min(missing)}")
    return Split(
        stored["train"].astype(np.int64),
        stored["test"].astype(np.int64),
        tuple(int(k) for k in stored["skipped"]),
        int(stored["margin"]) if "margin" in stored else None,
    )

"""A first card for files that nobody has described yet: guessed from the shapes and values of their arrays."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffclip.errors import UserError
from diffclip.scene.arrays import SUFFIXES, array_keys, read_array

log = logging.getLogger(__name__)

# Label maps have few values; whatever is called like this is tried first.
_MOST_CLASSES = 255
_LABEL_WORDS = ("label", "gt", "truth", "class", "mask", "train", "test")
_PARTS = {"train": "train|tr_?label", "test": "test|ts_?label"}


@dataclass(frozen=True, eq=False)
class _Found:
    file: str
    key: str
    array: np.ndarray

    @property
    def name(self) -> str:
        """File and key, for messages."""
        return f"{self.file} {self.key}".strip()

    @property
    def like_labels(self) -> bool:
        array = self.array
        if array.ndim != 2 or not np.isfinite(array).all() or (array != np.round(array)).any() or array.min() < 0:
            return False
        return 2 <= len(np.unique(array)) <= _MOST_CLASSES + 1

    @property
    def called_labels(self) -> bool:
        return any(word in self.name.lower() for word in _LABEL_WORDS)

    @property
    def part(self) -> str:
        """Whether it is called a map of the "train" or "test" pixels, or "" of neither or both."""
        for name in (self.key, self.file):
            parts = [part for part, pattern in _PARTS.items() if re.search(pattern, name.lower())]
            if len(parts) == 1:
                return parts[0]
        return ""

    @property
    def ids(self) -> set[int]:
        """The classes of a label map."""
        return set(np.unique(self.array).astype(int).tolist()) - {0}

    def source(self, axes: str = "") -> str:
        """Return the array as a card names it."""
        parts = [f"file: {json.dumps(self.file)}"]
        if self.key:
            parts.append(f"key: {json.dumps(self.key)}")
        if axes not in ("", "HW", "HWB"):
            parts.append(f"axes: {axes}")
        return f"{{{', '.join(parts)}}}"

    def note(self) -> str:
        """Return shape and values for a comment."""
        low, high = np.nanmin(self.array), np.nanmax(self.array)
        return f"{' x '.join(map(str, self.array.shape))}, {low:g} to {high:g}"


def draft_card(title: str, folder: Path, folder_in_card: str) -> str:
    """Return a card for the arrays in a folder (YAML), to be checked and completed by who knows them.

    The label map is the array of two axes with few whole numbers, or two of them that are called training and test
    pixels; the cube is that of three axes with most bands. All other arrays on the labels' grid are auxiliary, besides
    those that look like label maps too: they would tell the classes, and are left out with a warning.

    Args:
        title: of the scene.
        folder: where the files lie.
        folder_in_card: the folder as the card names it.

    Raises:
        UserError: no folder, no label map, no cube or no auxiliary raster.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = list(_arrays(folder))
    seen = ", ".join(f"{one.name} ({one.note()})" for one in found) or "no arrays"
    maps = sorted((one for one in found if one.like_labels), key=lambda one: not one.called_labels)
    if not maps:
        raise UserError(f"{folder}: found {seen}; expected a label map: two axes, few whole numbers")
    label_maps = _label_maps(maps)
    labels = next(iter(label_maps.values()))
    ids = set().union(*(one.ids for one in label_maps.values()))
    others = [one for one in found if one not in label_maps.values()]
    left_out = [one for one in others if one.like_labels and (one.called_labels or one.ids <= ids)]
    on_grid = [(one, axes) for one in others if (axes := _axes(one.array, labels.array.shape))]
    cubes = [entry for entry in on_grid if entry[0].array.ndim == 3]
    if not cubes:
        raise UserError(f"{folder}: found {seen}; expected a cube with the grid of {labels.file}")
    cube = max(cubes, key=lambda entry: entry[0].array.size)
    rasters = [entry for entry in on_grid if entry is not cube and entry[0] not in left_out]
    if not rasters:
        expected = f"expected an auxiliary raster with the grid of {labels.file} that is no label map"
        raise UserError(f"{folder}: found {seen}; {expected}")
    for one in left_out:
        log.warning("%s: left out: it looks like a label map too, and an auxiliary raster must not", one.name)
    lines = [
        "# Guessed from the files: check it, give the classes their names. Every key: docs/scenes.md",
        f"title: {json.dumps(title)}",
        f"folder: {json.dumps(folder_in_card)}",
        f"hsi: {cube[0].source(cube[1])}  # {cube[0].note()}",
        "aux:",
        *(f"  - {one.source(axes)}  # {one.note()}" for one, axes in rasters),
        *(f"# left out, a label map too: {one.name}  # {one.note()}" for one in left_out),
        *(f"{key}: {one.source()}  # {one.note()}" for key, one in label_maps.items()),
        "classes:",
        *(f"  - {{id: {k}, name: class {k}}}  # {_pixels(label_maps, k)} pixels" for k in sorted(ids)),
    ]
    return "\n".join(lines) + "\n"


def _label_maps(maps: Sequence[_Found]) -> dict[str, _Found]:
    """Return the label maps that a card can have together, by its keys; `maps` starts with those called so."""
    called = [one for one in maps if one.called_labels] or list(maps[:1])
    train, test = ([one for one in called if one.part == part] for part in _PARTS)
    whole = [one for one in called if not one.part][:1]
    found = dict(zip(["labels"], whole, strict=False))
    if len(train) == len(test) == 1 and _go_together(train[0], test[0], whole):
        return found | {"train_labels": train[0], "test_labels": test[0]}
    return found or {"labels": called[0]}


def _go_together(train: _Found, test: _Found, whole: Sequence[_Found]) -> bool:
    """Return whether no pixel is in both of two maps, and every other map says the same of their pixels."""
    if any(one.array.shape != train.array.shape for one in (test, *whole)):
        return False
    if ((train.array != 0) & (test.array != 0)).any():
        return False
    union = train.array + test.array
    return not any(((union != 0) & (union != one.array)).any() for one in whole)


def _pixels(label_maps: Mapping[str, _Found], k: int) -> int:
    """Return how many pixels the card gives to a class."""
    maps = [label_maps["labels"]] if "labels" in label_maps else label_maps.values()
    return sum(int(np.count_nonzero(one.array == k)) for one in maps)


def _arrays(folder: Path) -> Iterator[_Found]:
    """Yield the arrays of numbers with two or three axes that lie in a folder."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        keys = array_keys(path)
        for key in keys:
            try:
                array = read_array(path, key)
            except UserError as error:  # structs, texts: named by hand, see docs/scenes.md
                log.warning("%s; left out", error)
                continue
            if array.ndim == 3 and array.shape[2] == 1:
                array = array[:, :, 0]
            if array.ndim in (2, 3) and min(array.shape) > 1:
                yield _Found(path.name, key if len(keys) > 1 else "", array)


def _axes(array: np.ndarray, grid: tuple[int, ...]) -> str:
    """Return the order of an array's axes, in a card's letters, or nothing where it does not lie on the grid."""
    sizes = dict(zip("HW", grid, strict=True))
    orders = ["HW", "WH"] if array.ndim == 2 else ["HWB", *map("".join, itertools.permutations("HWB"))]
    for order in orders:
        if all(sizes.get(letter, size) == size for letter, size in zip(order, array.shape, strict=True)):
            return order
    return ""

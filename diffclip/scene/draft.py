"""A first card for files that nobody has described yet: guessed from the shapes and values of their arrays."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffclip.errors import UserError
from diffclip.scene.arrays import SUFFIXES, array_keys, read_array

# Label maps have few values; whatever is called like this is tried first.
_MOST_CLASSES = 255
_LABEL_WORDS = ("label", "gt", "truth", "class", "mask")


@dataclass(frozen=True)
class _Found:
    file: str
    key: str
    array: np.ndarray

    @property
    def like_labels(self) -> bool:
        array = self.array
        if array.ndim != 2 or not np.isfinite(array).all() or (array != np.round(array)).any() or array.min() < 0:
            return False
        return 2 <= len(np.unique(array)) <= _MOST_CLASSES + 1

    @property
    def called_labels(self) -> bool:
        return any(word in f"{self.file} {self.key}".lower() for word in _LABEL_WORDS)

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

    The label map is the array of two axes with few whole numbers, the cube that of three axes with most bands, and all
    other arrays on the labels' grid are auxiliary.

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
    seen = ", ".join(f"{one.file} {one.key} ({one.note()})" for one in found) or "no arrays"
    maps = sorted((one for one in found if one.like_labels), key=lambda one: not one.called_labels)
    if not maps:
        raise UserError(f"{folder}: found {seen}; expected a label map: two axes, few whole numbers")
    labels = maps[0]
    on_grid = [(one, axes) for one in found if one is not labels and (axes := _axes(one.array, labels.array.shape))]
    cubes = [entry for entry in on_grid if entry[0].array.ndim == 3]
    if not cubes:
        raise UserError(f"{folder}: found {seen}; expected a cube with the grid of {labels.file}")
    cube = max(cubes, key=lambda entry: entry[0].array.size)
    rasters = [entry for entry in on_grid if entry is not cube]
    if not rasters:
        raise UserError(f"{folder}: found {seen}; expected an auxiliary raster with the grid of {labels.file}")
    ids, counts = np.unique(labels.array.astype(int), return_counts=True)
    lines = [
        "# Guessed from the files: check it, give the classes their names. Every key: docs/scenes.md",
        f"title: {json.dumps(title)}",
        f"folder: {json.dumps(folder_in_card)}",
        f"hsi: {cube[0].source(cube[1])}  # {cube[0].note()}",
        "aux:",
        *(f"  - {one.source(axes)}  # {one.note()}" for one, axes in rasters),
        f"labels: {labels.source()}  # {labels.note()}",
        "classes:",
        *(f"  - {{id: {k}, name: class {k}}}  # {n} pixels" for k, n in zip(ids, counts, strict=True) if k != 0),
    ]
    return "\n".join(lines) + "\n"


def _arrays(folder: Path) -> Iterator[_Found]:
    """Yield the arrays of numbers with two or three axes that lie in a folder."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        keys = array_keys(path)
        for key in keys:
            try:
                array = read_array(path, key)
            except UserError:  # structs, texts: named by hand, see docs/scenes.md
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

"""Features of windows by a frozen CLIP: computed once per scene, weights and window, kept in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Hashable
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from baselines._clip.models import Source
from diffclip.device import repeatable_kernels
from diffclip.files import write_atomically
from diffclip.progress import Progress
from diffclip.protocol.sources import sources_sha256
from diffclip.protocol.task import FewShotTask
from diffclip.scene.rendering import View, picture
from diffclip.scene.scene import Imagery, PixelIndex
from diffclip.scene.windows import Windows

log = logging.getLogger(__name__)

TURNS = 8  # a square can be turned and mirrored in eight ways; the first leaves it as it is
_BATCH = 128


def rotated_orders(window: int) -> Int64[Tensor, "8 tokens"]:
    """Return the order of a window's pixels in every turn: four quarter turns, then the same of its mirror image."""
    square = torch.arange(window * window).view(window, window)
    turns = [torch.rot90(found, quarter) for found in (square, square.flip(1)) for quarter in range(4)]
    return torch.stack([turn.flatten() for turn in turns])


class Table:
    """Features of some pixels of a scene, in memory."""

    def __init__(self, n_pixels: int) -> None:
        self._row = np.full(n_pixels, -1, dtype=np.int64)
        self._values: list[Float32[np.ndarray, " D"]] = []

    def missing(self, pixels: PixelIndex) -> PixelIndex:
        """Return those of `pixels` that are not in the table, ascending, each once."""
        return np.unique(pixels[self._row[pixels] < 0])

    def add(self, pixels: PixelIndex, values: Float32[np.ndarray, "n D"]) -> None:
        """Put in features of pixels; those that are there stay."""
        new = self._row[pixels] < 0
        self._row[pixels[new]] = np.arange(len(self._values), len(self._values) + np.count_nonzero(new))
        self._values.extend(values[new])

    def rows(self, pixels: PixelIndex) -> Float32[np.ndarray, "n D"]:
        """Return the features of pixels, which must be there."""
        return np.stack([self._values[row] for row in self._row[pixels]])

    @property
    def pixels(self) -> PixelIndex:
        """All pixels in the table, ascending."""
        return np.flatnonzero(self._row >= 0)


# Keyed by the imagery itself, which is immutable and hashed by identity: an entry dies with it.
_tables: WeakKeyDictionary[Imagery, dict[Hashable, Table]] = WeakKeyDictionary()


class ImageFeatures:
    """Features of the windows of a task's scene.

    What is computed is kept below the task's cache folder, in one file per scene, weights, window, view and turn. Its
    name is a checksum of all that decides the features, so that a file is never out of date. Processes wait for one
    another rather than compute the same twice.

    Args:
        task: scene, window, cache folder and device.
        source: the CLIP.
        views: what is shown to it.
    """

    def __init__(self, task: FewShotTask, source: Source, views: tuple[View, ...]) -> None:
        self._task = task
        self.source = source
        self._views = views
        self._windows: dict[View, Windows] = {}
        self._orders = rotated_orders(task.window).to(task.device)

    def __call__(self, pixels: PixelIndex, turns: int = 1) -> Float[Tensor, "turns n views D"]:
        """Return the features of windows, not normalised, on the CPU.

        Args:
            pixels: (n,) their centres, flat positions in the scene.
            turns: how many of the eight ways to turn and mirror a window; the first leaves it as it is.
        """
        found = [[self._of(pixels, view, turn) for view in self._views] for turn in range(turns)]
        return torch.from_numpy(np.stack([np.stack(row, axis=1) for row in found]))

    def mean(self, pixels: PixelIndex) -> Float[Tensor, "n D"]:
        """Return the features of windows as they are, averaged over the views, not normalised, on the CPU."""
        return self(pixels)[0].mean(dim=1)

    def images(
        self, pixels: Int64[Tensor, " n"], view: View, turns: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n 3 side side"]:
        """Return windows as the model takes them, on the task's device; `turns` turns each of them."""
        windows = self._colours(view)(pixels)
        if turns is not None:
            windows = windows.gather(1, self._orders[turns][:, :, None].expand_as(windows))
        return self.source.clip.images(windows)

    @cached_property
    def _pictures(self) -> dict[View, np.ndarray]:
        return {view: picture(self._task.scene, view) for view in self._views}

    def _colours(self, view: View) -> Windows:
        if view not in self._windows:
            colours = self._pictures[view].astype(np.float32) / 255
            self._windows[view] = Windows(colours, self._task.window, self._task.device)
        return self._windows[view]

    def _of(self, pixels: PixelIndex, view: View, turn: int) -> Float32[np.ndarray, "n D"]:
        key = self._key(view, turn)
        table = _tables.setdefault(self._task.scene, {}).setdefault(key, Table(self._task.scene.n_pixels))
        if len(table.missing(pixels)):
            self._fill(table, pixels, view, turn, key)
        return table.rows(pixels)

    def _key(self, view: View, turn: int) -> str:
        """Return a checksum of all that decides the features of one view and turn."""
        colours = self._pictures[view]
        said = (colours.shape, self.source.name, self._task.window, turn, sources_sha256([__name__]))
        return hashlib.sha256(repr(said).encode() + colours.tobytes()).hexdigest()

    def _fill(self, table: Table, pixels: PixelIndex, view: View, turn: int, key: str) -> None:
        """Complete a table from the cache on disk, then by computing, which the cache keeps."""
        if self._task.cache is None:
            missing = table.missing(pixels)
            table.add(missing, self._computed(missing, view, turn))
            return
        from filelock import FileLock

        path = self._task.cache / "clip-features" / f"{self._task.scene.name}-{view}-{turn}-{key[:16]}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            table.add(*_read(path))
            missing = table.missing(pixels)
            if len(missing):
                table.add(missing, self._computed(missing, view, turn))
                known = table.pixels
                values = table.rows(known)
                write_atomically(path, lambda file: np.savez(file, pixels=known, features=values))

    @torch.no_grad()
    def _computed(self, pixels: PixelIndex, view: View, turn: int) -> Float32[np.ndarray, "n D"]:
        """Return the features of windows, whatever is known of them.

        Every batch is filled up to full size: kernels are chosen by shape, and another choice would round differently.
        """
        device = self._task.device
        index = torch.from_numpy(pixels).to(device)
        batches = torch.cat([index, index.new_zeros(-len(index) % _BATCH)]).split(_BATCH)
        turns = torch.full((_BATCH,), turn, device=device)
        model, found = self.source.clip.model, []
        with repeatable_kernels(device):
            for place in Progress(f"CLIP features of {view}", len(batches)):
                found.append(model.encode_image(self.images(batches[place], view, turns)).float().cpu())
        return torch.cat(found)[: len(pixels)].numpy()


def _read(path: Path) -> tuple[PixelIndex, Float32[np.ndarray, "n D"]]:
    """Return the pixels and features of a cache file, none if there is no such file or it cannot be read."""
    try:
        with np.load(path) as found:
            return found["pixels"], found["features"]
    except FileNotFoundError:
        pass
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s: not readable (%s); its features are computed again", path, error)
    return np.zeros(0, dtype=np.int64), np.zeros((0, 1), dtype=np.float32)

"""Image-text pairs from simulated scenes: renderings of windows with captions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from diffclip.embedded.captions import caption
from diffclip.scene.rendering import View, picture
from diffclip.scene.scene import Scene
from diffclip.scene.windows import Windows

VIEWS: tuple[View, ...] = get_args(View)


class Batch(NamedTuple):
    """Windows with captions.

    Attributes:
        windows: (n, w * w, 3) colours in 0..1.
        captions: n sentences.
        labels: (n,) class of every window's centre.
    """

    windows: Float[Tensor, "n tokens 3"]
    captions: list[str]
    labels: Int64[Tensor, " n"]


class Pairs:
    """Draws batches in which every class is equally frequent.

    Args:
        scenes: simulated scenes.
        windows: sides of the windows; a batch has one of them.
        draw: all randomness.
    """

    def __init__(self, scenes: Sequence[Scene], windows: Sequence[int], draw: np.random.Generator) -> None:
        self._scenes = scenes
        self._sides = windows
        self._draw = draw
        self._made: dict[tuple[int, str, int], Windows] = {}

    @cached_property
    def _of_class(self) -> list[list[np.ndarray]]:
        """Per scene and class the flat positions of its pixels."""
        classes = range(1, self._scenes[0].n_classes + 1)
        return [[np.flatnonzero(scene.labels.ravel() == k) for k in classes] for scene in self._scenes]

    def _windows(self, scene: int, view: View, side: int) -> Windows:
        key = scene, view, side
        if key not in self._made:
            colours = picture(self._scenes[scene].imagery, view).astype(np.float32) / 255
            self._made[key] = Windows(colours, side)
        return self._made[key]

    def batch(self, size: int) -> Batch:
        """Draw `size` pairs: both modalities, mirrored and turned at random, with changed brightness and contrast."""
        side = int(self._draw.choice(self._sides))
        parts, captions, labels = [], [], []
        # A batch looks at two scenes only, so that windows are gathered in few calls.
        for scene in self._draw.choice(len(self._scenes), size=2):
            for view in VIEWS:
                chosen = self._draw.integers(1, self._scenes[scene].n_classes + 1, size // 4)
                pixels = np.array([self._draw.choice(self._of_class[scene][k - 1]) for k in chosen])
                parts.append(self._windows(scene, view, side)(torch.from_numpy(pixels)))
                captions += self._captions(scene, side, pixels, chosen)
                labels.append(chosen)
        windows = self._jittered(self._turned(torch.cat(parts), side))
        return Batch(windows, captions, torch.from_numpy(np.concatenate(labels)))

    def _captions(self, scene: int, side: int, pixels: np.ndarray, chosen: np.ndarray) -> list[str]:
        labels, half = self._scenes[scene].labels, side // 2
        said = []
        for pixel, label in zip(pixels, chosen, strict=True):
            row, column = divmod(int(pixel), labels.shape[1])
            around = labels[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
            neighbours = [int(k) for k in np.unique(around) if k not in (0, label)]
            said.append(caption(int(label), neighbours, self._draw))
        return said

    def _turned(self, windows: Float[Tensor, "n tokens 3"], side: int) -> Float[Tensor, "n tokens 3"]:
        square = windows.unflatten(1, (side, side))
        square = torch.rot90(square, int(self._draw.integers(4)), (1, 2))
        return (square.flip(1) if self._draw.random() < 0.5 else square).flatten(1, 2)

    def _jittered(self, windows: Float[Tensor, "n tokens 3"]) -> Float[Tensor, "n tokens 3"]:
        """Change gain, offset and gamma of every window: sensors and atmospheres differ."""
        n = len(windows)
        gain = torch.from_numpy(self._draw.uniform(0.8, 1.2, (n, 1, 3))).float()
        offset = torch.from_numpy(self._draw.uniform(-0.1, 0.1, (n, 1, 1))).float()
        gamma = torch.from_numpy(self._draw.uniform(0.8, 1.25, (n, 1, 1))).float()
        return (windows.clamp(0, 1) ** gamma * gain + offset).clamp(0, 1)

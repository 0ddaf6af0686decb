"""What a method is given: the scene without its labels and a few labelled pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int16

from diffclip import randomness
from diffclip.errors import UserError
from diffclip.scene.scene import Imagery, PixelIndex

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class FewShotTask:
    """One run as a method sees it; no test label can be reached from here.

    Attributes:
        scene: what the sensors saw, without labels.
        train_pixels: (n,) flat positions of the labelled training pixels.
        train_labels: (n,) their classes, as numbered in the scene (1..K).
        classes: the class numbers to tell apart, ascending; scores have one column for each, in this order.
        class_names: one name per entry of `classes`.
        class_descriptions: one text per entry of `classes`, or empty when the scene has none.
        shots: labelled training pixels per class.
        seed: where all randomness of the run comes from.
        device: "cpu" or "cuda".
        study_window: side of the window for methods that declare the axis "window", else None.
        study_mask_ratio: share of hidden tokens for methods that declare the axis "mask_ratio", else None.
        pretrained: this seed's checkpoint, for methods that declare a pretraining.
        validation_pixels: (m,) flat positions of labelled pixels to choose among fits with, for methods that declare
            `uses_validation`, else None.
        validation_labels: (m,) their classes, as numbered in the scene.
        embedded_clip: folder of the embedded CLIP, for methods whose CLIP weights are "embedded", else None.
        cache: folder for what runs may compute once and share, such as features of a frozen network; it may be emptied
            at any time, and decides no result. None: nothing is kept.
    """

    scene: Imagery
    train_pixels: PixelIndex
    train_labels: Int16[np.ndarray, " n"]
    classes: Int16[np.ndarray, " K"]
    class_names: tuple[str, ...]
    class_descriptions: tuple[str, ...]
    shots: int
    seed: int
    device: str = "cpu"
    study_window: int | None = None
    study_mask_ratio: float | None = None
    pretrained: Path | None = None
    validation_pixels: PixelIndex | None = None
    validation_labels: Int16[np.ndarray, " m"] | None = None
    embedded_clip: Path | None = None
    cache: Path | None = None

    @property
    def window(self) -> int:
        """Side of the window, for methods that declare the axis "window"."""
        if self.study_window is None:
            raise UserError("task.window: this method does not declare the axis 'window'; add it to its `axes`")
        return self.study_window

    @property
    def mask_ratio(self) -> float:
        """Share of hidden tokens, for methods that declare the axis "mask_ratio"."""
        if self.study_mask_ratio is None:
            raise UserError("task.mask_ratio: this method does not declare the axis 'mask_ratio'; add it to its `axes`")
        return self.study_mask_ratio

    @property
    def train_targets(self) -> np.ndarray:
        """(n,) position of every training label in `classes` (0..K-1)."""
        return np.searchsorted(self.classes, self.train_labels)

    def rng(self, name: str) -> np.random.Generator:
        """Return NumPy's generator of this run for one purpose, say "init" or "batches"."""
        return randomness.rng(self.seed, name)

    def torch_generator(self, name: str, *, on_device: bool = False) -> torch.Generator:
        """Return torch's generator of this run for one purpose; on the CPU unless `on_device`."""
        return randomness.torch_generator(self.seed, name, device=self.device if on_device else "cpu")

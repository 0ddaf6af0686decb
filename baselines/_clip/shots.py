"""The few labelled windows of a task as features: in all eight turns, from which training draws."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from baselines._clip.features import TURNS, ImageFeatures
from diffclip.protocol.task import FewShotTask


class Shots:
    """Features and classes of the training windows.

    Image augmentation in CLIP's family is a random crop and flip of a photograph. A crop of a window would move the
    labelled pixel out of its centre; instead windows are turned and mirrored.

    Args:
        task: training pixels and labels.
        features: gives features, computed once.
        turns: how many of the eight turns to draw from; 1 for windows as they are.

    Attributes:
        all: (turns, n, D) features, not normalised, averaged over the views.
        targets: (n,) position of each sample's class.
    """

    def __init__(self, task: FewShotTask, features: ImageFeatures, turns: int = TURNS) -> None:
        self.all: Float[Tensor, "turns n D"] = features(task.train_pixels, turns).mean(dim=2).to(task.device)
        self.targets: Int64[Tensor, " n"] = torch.from_numpy(task.train_targets).to(task.device)
        self._generator = task.torch_generator("turns")

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, rows: Int64[Tensor, " rows"]) -> tuple[Float[Tensor, "rows D"], Int64[Tensor, " rows"]]:
        """Return features of samples, each in a turn drawn at random, and their classes."""
        turns = torch.randint(len(self.all), rows.shape, generator=self._generator)
        device = self.targets.device
        return self.all[turns.to(device), rows.to(device)], self.targets[rows.to(device)]

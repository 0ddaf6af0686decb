"""Labelled pixels pick the epoch that is tested: what the released code does, on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffclip.errors import UserError
from diffclip.model.classifier import DiffCLIP
from diffclip.protocol.task import FewShotTask
from diffclip.training.inference import scores, times_of
from diffclip.training.updates import computed_in
from diffclip.training.windows import SceneWindows


class Picked:
    """The weights of the epoch that classifies most validation pixels rightly, the first of equals.

    Args:
        task: validation pixels and labels.
        options: `Options`.

    Raises:
        UserError: the task has no validation pixels.
    """

    def __init__(self, task: FewShotTask, options: Any) -> None:
        if task.validation_pixels is None or task.validation_labels is None:
            raise UserError("task.validation_pixels: found none, expected those of protocol paper")
        self._pixels, self._device = task.validation_pixels, task.device
        self._targets = np.searchsorted(task.classes, task.validation_labels)
        self._times, self._stride, self._precision = times_of(task, options), options.stride, options.precision
        self._best = -1.0
        self._weights: dict[str, Tensor] = {}

    def see(self, model: DiffCLIP, inputs: Tensor, windows: SceneWindows) -> None:
        """Keep the model's weights if they are better than all before; leaves it in evaluation mode."""
        model.eval()
        with torch.no_grad(), computed_in(self._precision, self._device):
            texts = model.texts(inputs).float()
        asked = (self._pixels, self._device, self._times, self._stride, self._precision)
        found = scores(model, texts, windows, *asked).argmax(axis=1)
        accuracy = float((found == self._targets).mean())
        if accuracy > self._best:
            self._best = accuracy
            self._weights = {name: value.clone() for name, value in model.state_dict().items()}

    def put_back(self, model: DiffCLIP) -> None:
        """Give the model the best weights seen."""
        if self._weights:
            model.load_state_dict(self._weights)

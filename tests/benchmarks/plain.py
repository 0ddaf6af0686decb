"""What is measured against: the plain way, as the released code goes.

One seed at a time, in single precision, launched operation by operation. Windows are sliced sample by sample out of a
mirrored copy of the scene; every sample's text is encoded, at its full length of 77 tokens; the last block of the
encoder works on all tokens; the optimiser loops over the parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diffclip.model.classifier import DiffCLIP, instance_loss
from diffclip.model.masking import kept_tokens
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.scene.scene import Imagery


class Slices:
    """Windows cut one by one.

    Args:
        imagery: what the sensors saw.
        window: side in pixels.
        device: where batches go.
    """

    def __init__(self, imagery: Imagery, window: int, device: str) -> None:
        half = window // 2
        self._padded = [
            np.pad(x, ((half, half), (half, half), (0, 0)), mode="reflect") for x in imagery.scaled("standard")
        ]
        self._window, self._width, self._device = window, imagery.shape[1], device

    def __call__(self, pixels: np.ndarray) -> list[Tensor]:
        found = []
        for padded in self._padded:
            cut = []
            for pixel in pixels:
                row, column = divmod(int(pixel), self._width)
                patch = padded[row : row + self._window, column : column + self._window]
                cut.append(torch.from_numpy(np.ascontiguousarray(patch)).flatten(0, 1))
            found.append(torch.stack(cut).to(self._device))
        return found


def adam(model: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=1e-4, foreach=False)


def stage_1_step(
    model: MaskedDiffusion, slices: Slices, pixels: np.ndarray, optimiser: Any, ratio: float = 0.7
) -> None:
    clean = slices(pixels)
    device = clean[0].device
    time = torch.randint(1000, (len(pixels),), device=device)
    kept = [kept_tokens(torch.rand(x.shape[:2], device=device), ratio) for x in clean]
    losses = model.losses(clean, time, [torch.randn_like(x) for x in clean], kept)
    loss = sum(0.1 * x.mean() for x in losses.hidden) + sum(x.mean() for x in losses.visible)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def images(model: DiffCLIP, windows: list[Tensor]) -> Tensor:
    """Embed windows by the class tokens of an encoder that makes all tokens."""
    time = torch.zeros(len(windows[0]), dtype=torch.long, device=windows[0].device)
    return model.head(torch.cat([tokens[:, 0] for tokens in model.encoder(windows, time)], -1))


def full_length(ids: Tensor) -> Tensor:
    """Fill texts up to CLIP's 77 tokens."""
    return nn.functional.pad(ids, (0, 77 - ids.shape[-1]))


def stage_2_step(
    model: DiffCLIP, slices: Slices, pixels: np.ndarray, ids: Tensor, targets: Tensor, optimiser: Any
) -> None:
    found = images(model, slices(pixels))
    texts = model.texts(full_length(ids)[targets])
    logits = model.logits(found, texts)
    loss = instance_loss(logits, torch.arange(len(pixels), device=logits.device))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@torch.no_grad()
def classify(model: DiffCLIP, slices: Slices, pixels: np.ndarray, ids: Tensor, batch: int = 128) -> Tensor:
    found = []
    for start in range(0, len(pixels), batch):
        windows = slices(pixels[start : start + batch])
        found.append(model.logits(images(model, windows), model.texts(full_length(ids))))
    return torch.cat(found).argmax(-1)

"""Scores of windows from a trained classifier."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffclip.model.classifier import DiffCLIP
from diffclip.protocol.method import Scores
from diffclip.scene.scene import PixelIndex
from diffclip.training.windows import SceneWindows

_AT_ONCE = {"cpu": 256, "cuda": 8192}


@torch.no_grad()
def scores(model: DiffCLIP, texts: Tensor, windows: SceneWindows, pixels: PixelIndex, device: str) -> Scores:
    """Return the scaled cosines between the windows around `pixels` and the class texts.

    Windows are clean and the time step is 0, so that the same pixels get the same scores whatever else is asked.

    Args:
        model: in evaluation mode.
        texts: (K, E) embeddings of the class texts.
        windows: of the scene, on the device.
        pixels: (n,) flat positions.
        device: "cpu" or "cuda".
    """
    parts = []
    for batch in torch.from_numpy(np.asarray(pixels, dtype=np.int64)).split(_AT_ONCE[device]):
        batch = batch.to(device)
        images = model.images(windows(batch), torch.zeros_like(batch))
        parts.append(model.logits(images, texts).float().cpu())
    return torch.cat(parts).numpy()

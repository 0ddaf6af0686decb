"""Scores of windows from a trained classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from diffclip.model.classifier import DiffCLIP
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex
from diffclip.training.windows import SceneWindows

_AT_ONCE = {"cpu": 256, "cuda": 8192}


@torch.no_grad()
def scores(
    model: DiffCLIP,
    texts: Tensor,
    windows: SceneWindows,
    pixels: PixelIndex,
    device: str,
    times: Int64[Tensor, " H_W"] | None = None,
) -> Scores:
    """Return the scaled cosines between the windows around `pixels` and the class texts.

    Windows are clean, and the time step is 0 or the pixel's own, so that the same pixels get the same scores whatever
    else is asked.

    Args:
        model: in evaluation mode.
        texts: (K, E) embeddings of the class texts.
        windows: of the scene, on the device.
        pixels: (n,) flat positions.
        device: "cpu" or "cuda".
        times: a time step for every pixel of the scene, on the device; None stands for 0.
    """
    parts = []
    for batch in torch.from_numpy(np.asarray(pixels, dtype=np.int64)).split(_AT_ONCE[device]):
        batch = batch.to(device)
        images = model.images(windows(batch), torch.zeros_like(batch) if times is None else times[batch])
        parts.append(model.logits(images, texts).float().cpu())
    return torch.cat(parts).numpy()


def times_of(task: FewShotTask, options: Any) -> Int64[Tensor, " H_W"] | None:
    """Return the time step at which each pixel of the scene is classified, on the device; None stands for 0.

    The released code draws one at random for every window at every call (quirk `random_test_time`); here the run's
    seed decides them, so that results can be repeated.

    Args:
        task: seed, scene, device.
        options: `DiffCLIPMethod.Options`.
    """
    if "random_test_time" not in options.reference_quirks:
        return None
    drawn = task.rng("test time").integers(options.diffusion_steps, size=task.scene.n_pixels)
    return torch.from_numpy(drawn).to(task.device)

"""Scores of pixels from a trained classifier: by their own windows, or averaged over all that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.ndimage import maximum_filter
from torch import Tensor

from diffclip.model.classifier import DiffCLIP
from diffclip.model.embedding import ModalityEmbedding
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex
from diffclip.training.updates import Precision, computed_in
from diffclip.training.windows import SceneWindows

_AT_ONCE = {"cpu": 128, "cuda": 8192}
# A window gives scores for all of its pixels here.
_AT_ONCE_AVERAGED = {"cpu": 64, "cuda": 1024}


@torch.no_grad()
def scores(
    model: DiffCLIP,
    texts: Tensor,
    windows: SceneWindows,
    pixels: PixelIndex,
    device: str,
    times: Int64[Tensor, " H_W"] | None = None,
    stride: int = 0,
    precision: Precision = "fp32",
) -> Scores:
    """Return the scaled cosines between `pixels` and the class texts.

    Windows are clean, and the time step is 0 or that of the window's centre, so that the same pixels get the same
    scores whatever else is asked.

    Args:
        model: in evaluation mode.
        texts: (K, E) embeddings of the class texts.
        windows: of the scene, on the device.
        pixels: (n,) flat positions.
        device: "cpu" or "cuda".
        times: a time step for every pixel of the scene, on the device; None stands for 0.
        stride: 0 looks at the window around each pixel; otherwise scores are means over all windows that hold the
            pixel and whose centres lie on a grid of this spacing.
        precision: of matrix products.
    """

    def time_of(centres: Tensor) -> Tensor:
        return torch.zeros_like(centres) if times is None else times[centres]

    if stride:
        everywhere = torch.arange(windows.window**2, device=device)

        def of_windows(centres: Tensor) -> Tensor:
            with computed_in(precision, device):
                seen, embedded = _seen(model, windows, centres)
                places = everywhere.expand(len(centres), -1)
                found = model.pixels(seen, time_of(centres), places, None, embedded).float()
            return model.logits(found.flatten(0, 1), texts).unflatten(0, found.shape[:2])

        return averaged(of_windows, windows, pixels, stride, device).numpy()
    parts = []
    for batch in torch.from_numpy(np.asarray(pixels, dtype=np.int64)).split(_AT_ONCE[device]):
        batch = batch.to(device)
        with computed_in(precision, device):
            seen, embedded = _seen(model, windows, batch)
            images = model.images(seen, time_of(batch), None, embedded).float()
        parts.append(model.logits(images, texts).cpu())
    return torch.cat(parts).numpy()


def _seen(model: DiffCLIP, windows: SceneWindows, centres: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return what `DiffCLIP.pixels` takes of the windows around `centres`: their own pixels, and these embedded.

    A pixel that several windows hold is embedded once. Its own channels are gathered into windows only where the model
    looks at them; otherwise the embedded ones stand in.
    """
    positions = windows.positions(centres)
    used, index = positions.unique(return_inverse=True)
    own = windows.at(used)
    embeddings = cast(Iterable[ModalityEmbedding], model.encoder.modalities)
    embedded = [embed.per_pixel(pixels)[index] for embed, pixels in zip(embeddings, own, strict=True)]
    return (embedded if model.skip is None else [pixels[index] for pixels in own]), embedded


def averaged(
    of_windows: Callable[[Int64[Tensor, " b"]], Float[Tensor, "b P D"]],
    windows: SceneWindows,
    pixels: PixelIndex,
    stride: int,
    device: str,
) -> Float[Tensor, "n D"]:
    """Return what overlapping windows say of `pixels`, averaged over all that hold a pixel; on the CPU.

    Args:
        of_windows: takes centres of windows, as flat positions, and tells D numbers for each of their pixels.
        windows: of the scene.
        pixels: (n,) flat positions.
        stride: spacing of the centres in pixels, at most window // 2 + 1, so that every pixel lies in some window.
        device: where `of_windows` works.
    """
    height, width = windows.shape
    half = windows.window // 2
    asked = np.zeros((height, width), dtype=bool)
    asked.ravel()[pixels] = True
    near = maximum_filter(asked, size=windows.window)[::stride, ::stride].nonzero()
    centres = torch.from_numpy(near[0] * stride * width + near[1] * stride)
    steps = torch.arange(-half, half + 1)
    slots = torch.full((height * width,), -1)
    slots[asked.ravel().nonzero()[0]] = torch.arange(int(asked.sum()))
    sums = torch.zeros(0)
    counts = torch.zeros(int(asked.sum()))
    for batch in centres.split(_AT_ONCE_AVERAGED[device]):
        found = of_windows(batch.to(device)).float().cpu().flatten(0, 1)
        if not len(sums):
            sums = torch.zeros(len(counts), found.shape[-1])
        rows = (batch // width)[:, None, None] + steps[:, None]
        columns = (batch % width)[:, None, None] + steps
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        slot = torch.where(inside, slots[(rows * width + columns) * inside], -1).flatten()
        used = slot >= 0
        sums.index_add_(0, slot[used], found[used])
        counts += torch.bincount(slot[used], minlength=len(counts))
    return (sums / counts[:, None])[slots[torch.from_numpy(np.asarray(pixels, dtype=np.int64))]]


def times_of(task: FewShotTask, options: Any) -> Int64[Tensor, " H_W"] | None:
    """Return the time step at which each pixel of the scene is classified, on the device; None stands for 0.

    The released code draws one at random for every window at every call (quirk `random_test_time`); here the run's
    seed decides them, so that results can be repeated.

    Args:
        task: seed, scene, device.
        options: `Options`.
    """
    if "random_test_time" not in options.reference_quirks:
        return None
    drawn = task.rng("test time").integers(options.diffusion_steps, size=task.scene.n_pixels)
    return torch.from_numpy(drawn).to(task.device)

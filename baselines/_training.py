"""What supervised networks share: windows gathered on the device, one training loop, and inference.

It imports torch, so methods import this module inside their hooks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.device import repeatable_kernels
from diffclip.progress import Progress
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import seeded_torch
from diffclip.scene.scene import Imagery, PixelIndex, Scaling
from diffclip.scene.windows import Windows

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]  # hsi (n, B, w, w), aux (n, C, w, w), targets (n,)


class PairedWindows:
    """Windows of cube and rasters around the same pixels; the scene lives on the device once.

    Args:
        imagery: what the sensors saw.
        window: odd side w of the windows.
        device: where scene and windows live.
        scaling: how channels are scaled.
    """

    def __init__(self, imagery: Imagery, window: int, device: str, scaling: Scaling = "standard") -> None:
        hsi, aux = imagery.scaled(scaling)
        self._hsi, self._aux = Windows(hsi, window, device), Windows(aux, window, device)
        self._side = window
        self._orders = mirrored_orders(window).to(device)

    def __call__(
        self, pixels: Int64[Tensor, " n"], flips: Int64[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n B w w"], Float[Tensor, "n C w w"]]:
        """Return both windows around `pixels` (flat positions); `flips` picks one of `mirrored_orders` for each."""
        found = []
        for windows in (self._hsi, self._aux):
            tokens = windows(pixels)  # (n, w * w, channels)
            if flips is not None:
                tokens = tokens.gather(1, self._orders[flips][:, :, None].expand_as(tokens))
            found.append(tokens.transpose(1, 2).unflatten(2, (self._side, self._side)))
        return found[0], found[1]


def mirrored_orders(window: int) -> Int64[Tensor, "4 tokens"]:
    """Return the order of a window's tokens as they are, mirrored up-down, left-right, and both."""
    square = torch.arange(window * window).view(window, window)
    return torch.stack([square.flip(axes).flatten() for axes in ((), (0,), (1,), (0, 1))])


@contextmanager
def seeded(task: FewShotTask, name: str) -> Iterator[None]:
    """Let initial weights and dropout follow the run's seed, and kernels give the same result every time."""
    with seeded_torch(task.seed, name, device=task.device), repeatable_kernels(task.device):
        yield


def labelled_batches(task: FewShotTask, windows: PairedWindows, size: int, *, flips: bool) -> Iterator[Batch]:
    """Yield training batches for ever, shuffled anew in every epoch.

    Args:
        task: whose training pixels are drawn, by its seed.
        windows: gathers the inputs.
        size: largest batch, 2 or more. The batches of an epoch differ by one sample at most; one may grow to 3 rather
            than leave a batch of one, which batch normalisation could not take.
        flips: mirror every window up-down and left-right at random.
    """
    generator = task.torch_generator("batches")
    pixels = torch.from_numpy(task.train_pixels).to(task.device)
    targets = torch.from_numpy(task.train_targets).to(task.device)
    n = len(pixels)
    per_epoch = max(1, min(math.ceil(n / size), n // 2))
    while True:
        for rows in torch.randperm(n, generator=generator).tensor_split(per_epoch):
            turned = torch.randint(4, rows.shape, generator=generator).to(task.device) if flips else None
            rows = rows.to(task.device)
            yield *windows(pixels[rows], turned), targets[rows]


def minimise(
    loss_of: Callable[[Tensor, Tensor, Tensor], Float[Tensor, ""]],
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    steps: int,
    name: str,
) -> None:
    """Make `steps` updates; the last weights count, no checkpoint is picked.

    Args:
        loss_of: loss of one batch, called with its (hsi, aux, targets).
        batches: where batches come from.
        optimizer: what is updated, and how.
        steps: number of updates.
        name: shown beside the progress.
    """
    progress = Progress(name, steps)
    for _ in progress:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*next(batches))
        loss.backward()
        optimizer.step()
        progress.note(loss=loss.detach())


@torch.inference_mode()
def scores(
    network: nn.Module, windows: PairedWindows, pixels: PixelIndex, task: FewShotTask, batch: int = 256
) -> Scores:
    """Return the network's (n, K) logits for `pixels`.

    Every batch is filled up to full size: kernels are chosen by shape, and another choice would round differently.
    """
    network.eval()
    index = torch.from_numpy(np.asarray(pixels, dtype=np.int64)).to(task.device)
    filled = torch.cat([index, index.new_zeros(-len(index) % batch)])
    with repeatable_kernels(task.device):
        logits = [network(*windows(rows)) for rows in filled.split(batch)]
    return torch.cat(logits)[: len(index)].cpu().numpy()

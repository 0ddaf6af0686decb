"""What networks share: windows gathered on the device, batches, one training loop, and inference.

It imports torch, so methods import this module inside their hooks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from baselines._networks.layers import draw_from
from diffclip.device import repeatable_kernels
from diffclip.progress import Progress
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import seeded_torch
from diffclip.scene.scene import PixelIndex
from diffclip.scene.windows import Windows
from diffclip.seeds import apart, together

if TYPE_CHECKING:
    from baselines._supervised import Turns

Inputs: TypeAlias = tuple[Tensor, ...]  # one (n, C, w, w) per raster stack
Batch: TypeAlias = tuple[Inputs, Tensor]  # and the targets (n,)
Network = TypeVar("Network", bound=nn.Module)
Optimizer: TypeAlias = Literal["adam", "adamw", "nadam", "sgd"]

# How many of the `turned_orders`, from the first on, each kind of turns draws from.
TURNS = {"none": 1, "flips": 4, "all": 8}


class StackedWindows:
    """Windows of several raster stacks around the same pixels; the rasters live on the device once.

    Args:
        rasters: (H, W, C) stacks.
        window: odd side w of the windows.
        device: where rasters and windows live.

    Attributes:
        channels: C of every stack.
    """

    def __init__(self, rasters: Sequence[Float[np.ndarray, "H W _C"]], window: int, device: str) -> None:
        self._windows = [Windows(raster, window, device) for raster in rasters]
        self._side = window
        self._orders = turned_orders(window).to(device)
        self.channels = tuple(raster.shape[2] for raster in rasters)

    def __call__(self, pixels: Int64[Tensor, " n"], turns: Int64[Tensor, " n"] | None = None) -> Inputs:
        """Return the (n, C, w, w) windows around `pixels` (flat positions), each in one of the `turned_orders`."""
        found = []
        for windows in self._windows:
            tokens = windows(pixels)  # (n, w * w, channels)
            if turns is not None:
                tokens = tokens.gather(1, self._orders[turns][:, :, None].expand_as(tokens))
            found.append(tokens.transpose(1, 2).unflatten(2, (self._side, self._side)))
        return tuple(found)


def turned_orders(window: int) -> Int64[Tensor, "8 tokens"]:
    """Return the order of a window's tokens as they are, mirrored up-down, left-right, both; then these transposed."""
    square = torch.arange(window * window).view(window, window)
    return torch.stack([x.flip(axes).flatten() for x in (square, square.T) for axes in ((), (0,), (1,), (0, 1))])


@contextmanager
def seeded(task: FewShotTask, name: str) -> Iterator[None]:
    """Let initial weights follow the run's seed, and kernels give the same result every time."""
    with seeded_torch(task.seed, name, device=task.device), repeatable_kernels(task.device):
        yield


def batches_per_epoch(samples: int, size: int) -> int:
    """Return how many batches of at most `size` an epoch has; none of them of one sample where that can be helped."""
    return max(1, min(math.ceil(samples / size), samples // 2))


def labelled_batches(task: FewShotTask, windows: StackedWindows, size: int, turns: Turns) -> Iterator[Batch]:
    """Yield training batches for ever, shuffled anew in every epoch.

    Args:
        task: whose training pixels are drawn, by its seed.
        windows: gathers the inputs.
        size: largest batch, 2 or more. The batches of an epoch differ by one sample at most; one may grow to 3 rather
            than leave a batch of one, which batch normalisation could not take.
        turns: how windows are mirrored or turned at random.
    """
    generator = task.torch_generator("batches")
    pixels = torch.from_numpy(task.train_pixels).to(task.device)
    targets = torch.from_numpy(task.train_targets).to(task.device)
    per_epoch = batches_per_epoch(len(pixels), size)
    while True:
        for rows in torch.randperm(len(pixels), generator=generator).tensor_split(per_epoch):
            turned = torch.randint(TURNS[turns], rows.shape, generator=generator).to(task.device)
            rows = rows.to(task.device)
            yield windows(pixels[rows], None if turns == "none" else turned), targets[rows]


def as_one(networks: Sequence[Network], tasks: Sequence[FewShotTask]) -> Network:
    """Return several seeds' networks as one (a single one as it is); dropout draws from each seed's generator."""
    network = networks[0] if len(networks) == 1 else together(networks)
    name = f"dropout of {type(network).__name__}"
    draw_from(network, *(task.torch_generator(name, on_device=True) for task in tasks))
    return network


def as_single(network: nn.Module, networks: Sequence[nn.Module]) -> None:
    """Give the weights of `as_one` back to the networks it was made of."""
    if len(networks) > 1:
        apart(network, networks)


def joined(batches: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
    """Yield the batches of several seeds as one, seeds along a first axis; of one seed as they are."""
    if len(batches) == 1:
        yield from batches[0]
    for parts in zip(*batches, strict=True):
        inputs, targets = zip(*parts, strict=True)
        yield tuple(torch.stack(stack) for stack in zip(*inputs, strict=True)), torch.stack(targets)


def cross_entropy(logits: Float[Tensor, "*batch K"], targets: Int64[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over all samples of all seeds."""
    return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def optimizer_of(
    name: Optimizer,
    parameters: Iterator[nn.Parameter],
    rate: float,
    weight_decay: float,
    *,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """Return an optimiser; `momentum` matters to gradient descent, `betas` to all others."""
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=weight_decay, momentum=momentum)
    if name == "nadam":
        return torch.optim.NAdam(parameters, lr=rate, weight_decay=weight_decay, betas=betas)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=weight_decay, betas=betas, fused=True)


def minimise(
    loss_of: Callable[[Inputs, Tensor], Float[Tensor, ""]],
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    steps: int,
    name: str,
    schedule: Callable[[float], float] = lambda done: 1.0,
) -> None:
    """Make `steps` updates; the last weights count, no checkpoint is picked.

    Args:
        loss_of: loss of one batch, called with its inputs and targets.
        batches: where batches come from.
        optimizer: what is updated, and how.
        steps: number of updates.
        name: shown beside the progress.
        schedule: factor on the learning rate, of the share of the updates that is done (0 to below 1).
    """
    progress = Progress(name, steps)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step / max(1, steps)))
    for _ in progress:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*next(batches))
        loss.backward()
        optimizer.step()
        rates.step()
        progress.note(loss=loss.detach())


@torch.inference_mode()
def scores(
    network: nn.Module, windows: StackedWindows, pixels: PixelIndex, task: FewShotTask, batch: int = 256
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

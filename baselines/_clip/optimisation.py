"""How the rivals around CLIP learn: shuffled batches of a few shots, CoOp's schedule, the last weights count."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from diffclip.device import repeatable_kernels
from diffclip.progress import Progress
from diffclip.protocol.task import FewShotTask

Loss = Callable[[Int64[Tensor, " rows"]], Float[Tensor, ""]]

_FIRST_RATE = 1e-5  # of CoOp's first epoch


def coop_epochs(shots: int) -> int:
    """Return how many epochs CoOp trains: 50 at 1 shot, 100 at 2 to 4, 200 at more (github.com/KaiyangZhou/CoOp)."""
    return 50 if shots == 1 else 100 if shots <= 4 else 200


def coop_rate(lr: float, epochs: int) -> Callable[[int], float]:
    """Return CoOp's learning rate by epoch: a tiny one in the first, then half a cosine that starts at `lr`."""
    falling = cosine_rate(lr, epochs)
    return lambda epoch: _FIRST_RATE if epoch == 0 else falling(epoch - 1)


def cosine_rate(lr: float, epochs: int, last: float = 0.0) -> Callable[[int], float]:
    """Return a learning rate by epoch that falls from `lr` towards `last` by half a cosine."""
    return lambda epoch: last + (lr - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def sgd(parameters: Iterable[Tensor], *, momentum: float = 0.9, weight_decay: float = 5e-4) -> torch.optim.SGD:
    """Return stochastic gradient descent with the settings of CoOp's toolbox; the rate is set by `descend`."""
    return torch.optim.SGD(parameters, lr=0.0, momentum=momentum, weight_decay=weight_decay)


def descend(
    loss_of: Loss,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    task: FewShotTask,
    *,
    batch: int,
    epochs: int,
    name: str,
    passes: int = 1,
) -> None:
    """Train for some epochs over a task's training pixels.

    Args:
        loss_of: loss of some of the samples, given by their rows (on the CPU).
        optimizer: what is trained, and how.
        rate: learning rate by epoch.
        task: its number of training pixels, its seed, its device.
        batch: largest batch; the last of an epoch may be smaller, so that few shots train as well.
        epochs: how often every sample is seen.
        name: shown beside the progress.
        passes: batches come from so many copies of the samples, though an epoch has no more of them than with one: few
            samples fill whole batches.
    """
    progress, generator = Progress(name, epochs), task.torch_generator("order")
    samples = len(task.train_pixels)
    steps = math.ceil(samples / batch)
    with repeatable_kernels(task.device):
        for epoch in progress:
            for group in optimizer.param_groups:
                group["lr"] = rate(epoch)
            for rows in torch.randperm(passes * samples, generator=generator).split(batch)[:steps]:
                optimizer.zero_grad(set_to_none=True)
                loss = loss_of(rows % samples)
                loss.backward()
                optimizer.step()
            progress.note(loss=loss.detach())

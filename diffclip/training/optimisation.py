"""How weights move in both stages: learning rates over time and over layers, and their running average."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from diffclip.model.classifier import DiffCLIP
from diffclip.training.updates import capturable, with_rates_on

# The released code pretrains for 400 epochs and restarts its cosine after 5, 15, 35, 75, 155 and 315 of them.
_EPOCHS, _FIRST_RESTART = 400, 5
# It lowers the learning rate of stage 2 tenfold after these shares of its epochs.
_DROPS = (2 / 3, 7 / 8)


def stage_1_optimiser(model: nn.Module, options: Any, total: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return Adam and what moves its learning rate, once per step of `total`."""
    device = next(model.parameters()).device.type
    adam = torch.optim.Adam(
        model.parameters(), lr=options.pretrain_lr, weight_decay=options.pretrain_weight_decay, **capturable(device)
    )
    optimiser = with_rates_on(device, adam)
    factor = _cosine(total) if options.pretrain_schedule == "cosine" else _restarts(total)
    return optimiser, LambdaLR(optimiser, factor)


def stage_2_optimiser(
    model: DiffCLIP, options: Any, epochs: int, per_epoch: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return the optimiser and what moves its learning rates, once per step.

    Args:
        model: parameters that need no gradient stay as they are.
        options: `Options`.
        epochs: length of the training.
        per_epoch: steps of an epoch.
    """
    kind = torch.optim.AdamW if options.optimiser == "adamw" else torch.optim.Adam
    device = next(model.parameters()).device.type
    adam = kind(_groups(model, options), lr=options.lr, weight_decay=options.weight_decay, **capturable(device))
    optimiser = with_rates_on(device, adam)
    if options.lr_schedule == "cosine":
        return optimiser, LambdaLR(optimiser, _cosine(epochs * per_epoch))
    milestones = [round(epochs * share) * per_epoch for share in _DROPS]
    return optimiser, LambdaLR(optimiser, lambda step: 0.1 ** sum(step >= milestone for milestone in milestones))


def running_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """Return what averages a model's weights from its next `update_parameters` on, None without a decay."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


def _cosine(total: int) -> Callable[[int], float]:
    return lambda step: 0.5 * (1 + math.cos(math.pi * step / max(total, 1)))


def _restarts(total: int) -> Callable[[int], float]:
    """Return the released code's cosine with restarts, over the same shares of the steps (Loshchilov, Hutter 2017)."""

    def factor(step: int) -> float:
        epoch, length = _EPOCHS * step // max(total, 1), _FIRST_RESTART
        while epoch >= length:
            epoch, length = epoch - length, 2 * length
        return 0.5 * (1 + math.cos(math.pi * epoch / length))

    return factor


def _groups(model: DiffCLIP, options: Any) -> list[dict[str, Any]]:
    """Return the trained parameters, layer by layer from the top, each with its learning rate."""
    layers: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layers.setdefault(_below_the_top(name, options.depth), []).append(parameter)
    return [{"params": found, "lr": options.lr * options.layer_decay**below} for below, found in sorted(layers.items())]


def _below_the_top(name: str, depth: int) -> int:
    """Return how many of the encoder's layers lie above a parameter: none above its norm, `depth` + 1 above a stem."""
    parts = name.split(".")
    if parts[0] != "encoder":
        return 0
    if "blocks" in parts:
        return depth - int(parts[parts.index("blocks") + 1])
    return 0 if "norm" in parts else depth + 1

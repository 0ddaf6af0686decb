"""Stage 1: masked diffusion over all windows of a scene; no label is involved."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from diffclip.device import repeatable_kernels
from diffclip.files import write_atomically
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.progress import Progress
from diffclip.randomness import rng, seeded_torch, torch_generator
from diffclip.scene.scene import Imagery
from diffclip.training.windows import SceneWindows, architecture

log = logging.getLogger(__name__)

# The released code pretrains for 400 epochs and restarts its cosine after 5, 15, 35, 75, 155 and 315 of them.
_EPOCHS = 400
_FIRST_RESTART = 5
_CURVE_POINTS = 200


def pretrain(imagery: Imagery, settings: Mapping[str, Any], *, seed: int, device: str, path: Path) -> dict[str, Any]:
    """Train encoder and decoders on windows of a scene and write their weights.

    Args:
        imagery: what the sensors saw.
        settings: those of `Pretraining.settings` that DiffCLIP's method hands over: window, mask ratio, sizes, ...
        seed: where weights, windows, time steps, noise and masks come from.
        device: "cpu" or "cuda".
        path: the .safetensors file to write.

    Returns:
        Loss curves: the steps, and per modality the mean errors on hidden and visible tokens since the last point.
    """
    options = SimpleNamespace(**settings)
    windows = SceneWindows(imagery, options.scaling, options.window, device)
    with seeded_torch(seed, "stage 1", "initial weights"):
        model = MaskedDiffusion(
            windows.channels, architecture(options, options.window), steps=options.diffusion_steps
        ).to(device)
    with repeatable_kernels(device):
        curves = _train(model, windows, options, imagery.n_pixels, seed, device)
    weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    write_atomically(path, lambda file: file.write(save(weights)))
    return curves


def _train(
    model: MaskedDiffusion, windows: SceneWindows, options: Any, n_pixels: int, seed: int, device: str
) -> dict[str, Any]:
    optimiser = torch.optim.Adam(
        model.parameters(), lr=options.pretrain_lr, weight_decay=options.pretrain_weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=_FIRST_RESTART, T_mult=2)
    pixels = rng(seed, "stage 1", "windows")
    generator = torch_generator(seed, "stage 1", "noise and masks", device=device)
    curves: dict[str, Any] = {"step": [], "hidden": [], "visible": []}
    every = max(1, options.pretrain_steps // _CURVE_POINTS)
    last = 0
    sums = torch.zeros(2, len(windows.channels), device=device)
    progress = Progress(f"stage 1, seed {seed}", options.pretrain_steps)
    model.train()
    for step in progress:
        schedule.step(_EPOCHS * step // options.pretrain_steps)
        batch = torch.from_numpy(pixels.integers(n_pixels, size=options.pretrain_batch)).to(device)
        hidden, visible = _errors(model, windows(batch), options, generator)
        loss = options.hidden_weight * hidden.sum() + options.visible_weight * visible.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        sums += torch.stack([hidden, visible]).detach()
        done = step + 1
        if done % every == 0 or done == options.pretrain_steps:
            means = (sums / (done - last)).tolist()
            last = done
            sums.zero_()
            curves["step"].append(done)
            curves["hidden"].append(means[0])
            curves["visible"].append(means[1])
            progress.note(hidden=sum(means[0]), visible=sum(means[1]))
    return curves


def _errors(
    model: MaskedDiffusion, clean: list[Tensor], options: Any, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean errors on hidden and on visible tokens, one entry per modality."""
    size, device = clean[0].shape[:-2], clean[0].device
    time = torch.zeros(size, dtype=torch.long, device=device)
    noise = None
    if options.diffusion:
        time = torch.randint(options.diffusion_steps, size, generator=generator, device=device)
        noise = [torch.randn(x.shape, generator=generator, device=device) for x in clean]
    tokens = (options.window // options.token_size) ** 2
    draws = [torch.rand(*size, tokens, generator=generator, device=device) for _ in clean]
    losses = model.losses(clean, time, noise, draws, options.mask_ratio)
    return torch.stack([x.mean() for x in losses.hidden]), torch.stack([x.mean() for x in losses.visible])

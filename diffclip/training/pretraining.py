"""Stage 1: masked diffusion over windows of a scene; no label is involved, save that they may name the windows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from diffclip.device import repeatable_kernels
from diffclip.files import write_atomically
from diffclip.model.masking import Kept, kept_tokens
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.progress import Progress
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import rng, seeded_torch, torch_generator
from diffclip.scene.scene import Imagery
from diffclip.training.optimisation import stage_1_optimiser
from diffclip.training.windows import SceneWindows, architecture, batches, cropped

log = logging.getLogger(__name__)

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
    pixels = rng(seed, "stage 1", "windows")
    drawn = (pixels.integers(imagery.n_pixels, size=options.pretrain_batch) for _ in range(options.pretrain_steps))
    steps = map(torch.from_numpy, drawn)
    weights, curves = _learned(imagery, options, steps, options.pretrain_steps, seed, device)
    write_atomically(path, lambda file: file.write(save(weights)))
    return curves


def pretrain_labelled(task: FewShotTask, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of stage 1 on the windows of a task's training pixels, as the released code makes them.

    Args:
        task: training pixels, seed, device; their labels play no part.
        settings: as for `pretrain`, with `pretrain_epochs` in the place of `pretrain_steps`.
    """
    options = SimpleNamespace(**settings)
    shuffle, pixels = rng(task.seed, "stage 1", "windows"), torch.from_numpy(task.train_pixels)
    orders = (torch.from_numpy(shuffle.permutation(len(pixels))) for _ in range(options.pretrain_epochs))
    steps = [pixels[batch] for order in orders for batch in batches(order, options.pretrain_batch)]
    return _learned(task.scene, options, steps, len(steps), task.seed, task.device)[0]


def _learned(
    imagery: Imagery, options: Any, steps: Iterable[Tensor], total: int, seed: int, device: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train on `total` batches of pixels; return the weights, on the CPU, and the loss curves."""
    windows = windows_of(imagery, options, device)
    model = untrained(windows, options, seed).to(device)
    with repeatable_kernels(device):
        curves = _train(model, windows, options, steps, total, seed, device)
    return {name: value.contiguous().cpu() for name, value in model.state_dict().items()}, curves


def windows_of(imagery: Imagery, options: Any, device: str) -> SceneWindows:
    """Return the windows that stage 1 sees of a scene."""
    return SceneWindows(imagery, options.scaling, options.window, device, options.modalities, profiles=options.profiles)


def untrained(windows: SceneWindows, options: Any, seed: int) -> MaskedDiffusion:
    """Return encoder and decoders with the initial weights of a seed, on the CPU."""
    with seeded_torch(seed, "stage 1", "initial weights"):
        return MaskedDiffusion(windows.channels, architecture(options, options.window), steps=options.diffusion_steps)


def _train(
    model: MaskedDiffusion,
    windows: SceneWindows,
    options: Any,
    steps: Iterable[Tensor],
    total: int,
    seed: int,
    device: str,
) -> dict[str, Any]:
    optimiser, schedule = stage_1_optimiser(model, options, total)
    generator = torch_generator(seed, "stage 1", "noise and masks", device=device)
    curves: dict[str, Any] = {"step": [], "hidden": [], "visible": []}
    every = max(1, total // _CURVE_POINTS)
    last = 0
    sums = torch.zeros(2, len(windows.channels), device=device)
    progress = Progress(f"stage 1, seed {seed}", total)
    model.train()
    for step, pixels in zip(progress, steps, strict=True):
        hidden, visible = _errors(model, windows, pixels.to(device), options, generator)
        loss = options.hidden_weight * hidden.sum() + options.visible_weight * visible.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        sums += torch.stack([hidden, visible]).detach()
        done = step + 1
        if done % every == 0 or done == total:
            means = (sums / (done - last)).tolist()
            last = done
            sums.zero_()
            curves["step"].append(done)
            curves["hidden"].append(means[0])
            curves["visible"].append(means[1])
            progress.note(hidden=sum(means[0]), visible=sum(means[1]))
    return curves


def _errors(
    model: MaskedDiffusion, windows: SceneWindows, pixels: Tensor, options: Any, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean errors on hidden and on visible tokens, one entry per modality."""
    size, device = pixels.shape, pixels.device
    clean = windows(pixels)
    if options.crops:
        clean = _crops(clean, options, generator)
    time = torch.zeros(size, dtype=torch.long, device=device)
    noise = None
    if options.diffusion:
        time = torch.randint(time_limit(options), size, generator=generator, device=device)
        noise = [torch.randn(x.shape, generator=generator, device=device) for x in clean]
    tokens = (options.window // options.token_size) ** 2
    draws = [torch.rand(*size, tokens, generator=generator, device=device) for _ in clean]
    losses = model.losses(clean, time, noise, kept_of(windows.modalities, options, draws))
    return torch.stack([x.mean() for x in losses.hidden]), torch.stack([x.mean() for x in losses.visible])


def time_limit(options: Any) -> int:
    """Return the time step that stage 1 stays below; without diffusion it knows step 0 alone."""
    return (options.time_limit or options.diffusion_steps) if options.diffusion else 1


def _crops(clean: list[Tensor], options: Any, generator: torch.Generator) -> list[Tensor]:
    """Crop every second sample on average: all its modalities alike, or each for itself (quirk `unpaired_crops`)."""
    size = clean[0].shape[:-2]
    count = len(clean) if "unpaired_crops" in options.reference_quirks else 1
    drawn = [torch.rand(size, generator=generator, device=clean[0].device) < 0.5 for _ in range(count)]
    return [cropped(x, drawn[min(place, count - 1)], options.window) for place, x in enumerate(clean)]


def kept_of(modalities: Sequence[str], options: Any, draws: Sequence[Tensor]) -> list[Kept]:
    """Return which tokens stay visible.

    Args:
        modalities: names, in the model's order.
        options: stage 1's settings: mask ratios and quirks.
        draws: per modality, (..., T) uniform random numbers.
    """
    ratios = [options.mask_ratio if name == "hsi" else options.aux_mask_ratio for name in modalities]
    misplaced = "lidar_mask_order" in options.reference_quirks
    exact = "mask_rounding" not in options.reference_quirks
    return [
        kept_tokens(draw, ratio, restore_order=misplaced and place > 0, exact=exact)
        for place, (ratio, draw) in enumerate(zip(ratios, draws, strict=True))
    ]

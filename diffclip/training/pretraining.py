"""Stage 1: masked diffusion over windows of a scene; no label is involved, save that they may name the windows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

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
from diffclip.seeds import apart, together
from diffclip.training.optimisation import stage_1_optimiser
from diffclip.training.options import mask_ratio_of
from diffclip.training.updates import Batch, Updates, computed_in, stacked
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
    return pretrain_many(imagery, settings, seeds=[seed], device=device, paths=[path])[0]


def pretrain_many(
    imagery: Imagery, settings: Mapping[str, Any], *, seeds: Sequence[int], device: str, paths: Sequence[Path]
) -> list[dict[str, Any]]:
    """Do for several seeds, trained as one model, what `pretrain` does for one; return each one's curves."""
    options = SimpleNamespace(**settings)
    learned = _learned(imagery, options, [_anywhere(imagery, options, seed) for seed in seeds], seeds, device)
    for path, (weights, _) in zip(paths, learned, strict=True):
        write_atomically(path, partial(_write, weights))
    return [curves for _, curves in learned]


def _anywhere(imagery: Imagery, options: Any, seed: int) -> Iterator[Tensor]:
    """Yield a seed's batches of pixels from all of the scene."""
    pixels = rng(seed, "stage 1", "windows")
    for _ in range(options.pretrain_steps):
        yield torch.from_numpy(pixels.integers(imagery.n_pixels, size=options.pretrain_batch))


def _write(weights: dict[str, Tensor], file: BinaryIO) -> None:
    file.write(save(weights))


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
    options.pretrain_steps = len(steps)
    return _learned(task.scene, options, [steps], [task.seed], task.device)[0][0]


def _learned(
    imagery: Imagery, options: Any, steps: Sequence[Iterable[Tensor]], seeds: Sequence[int], device: str
) -> list[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Train every seed on its batches of pixels; return its weights, on the CPU, and its loss curves."""
    windows = windows_of(imagery, options, device)
    models = [untrained(windows, options, seed).to(device) for seed in seeds]
    model = together(models) if len(models) > 1 else models[0]
    with repeatable_kernels(device, strictly=True):
        curves = _train(model, windows, options, steps, seeds, device)
    if len(models) > 1:
        apart(model, models)
    states = [{name: value.contiguous().cpu() for name, value in one.state_dict().items()} for one in models]
    return list(zip(states, curves, strict=True))


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
    steps: Sequence[Iterable[Tensor]],
    seeds: Sequence[int],
    device: str,
) -> list[dict[str, Any]]:
    """Train a model of one seed, or of several together; return each seed's loss curves."""
    total = options.pretrain_steps
    optimiser, schedule = stage_1_optimiser(model, options, total)
    update = Updates(partial(_losses, model, windows, options, device), optimiser, device, total)
    generators = [torch_generator(seed, "stage 1", "noise and masks", device=device) for seed in seeds]
    curves: list[dict[str, Any]] = [{"step": [], "hidden": [], "visible": []} for _ in seeds]
    every = max(1, total // _CURVE_POINTS)
    last = 0
    sums = torch.zeros(len(seeds), 2, len(windows.channels), device=device)
    progress = Progress(f"stage 1, seed {', '.join(map(str, seeds))}", total)
    model.train()
    for step, pixels in zip(progress, zip(*steps, strict=True), strict=True):
        drawn = [_drawn(windows, batch.to(device), options, own) for batch, own in zip(pixels, generators, strict=True)]
        sums += update(stacked(drawn)).view_as(sums)
        schedule.step()
        done = step + 1
        if done % every == 0 or done == total:
            means = (sums / (done - last)).tolist()
            last = done
            sums.zero_()
            for curve, (hidden, visible) in zip(curves, means, strict=True):
                curve["step"].append(done)
                curve["hidden"].append(hidden)
                curve["visible"].append(visible)
            progress.note(hidden=sum(means[0][0]), visible=sum(means[0][1]))
    return curves


def _drawn(windows: SceneWindows, pixels: Tensor, options: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """Return one seed's batch: clean windows, time steps, noise, and the numbers that masks are made of."""
    size, device = pixels.shape, pixels.device
    clean = windows(pixels)
    if options.crops:
        clean = _crops(clean, options, generator)
    drawn = {f"clean {place}": x for place, x in enumerate(clean)}
    drawn["time"] = torch.zeros(size, dtype=torch.long, device=device)
    if options.diffusion:
        drawn["time"] = torch.randint(time_limit(options), size, generator=generator, device=device)
        for place, x in enumerate(clean):
            drawn[f"noise {place}"] = torch.randn(x.shape, generator=generator, device=device)
    tokens = (options.window // options.token_size) ** 2
    for place in range(len(clean)):
        drawn[f"mask {place}"] = torch.rand(*size, tokens, generator=generator, device=device)
    return drawn


def _losses(
    model: MaskedDiffusion, windows: SceneWindows, options: Any, device: str, batch: Batch
) -> tuple[Tensor, Tensor]:
    """Return the loss over all seeds, and each one's mean errors on hidden and on visible tokens (*S, 2, M)."""
    clean, noise, draws = (
        [batch[f"{what} {place}"] for place in range(len(windows.channels)) if f"{what} {place}" in batch]
        for what in ("clean", "noise", "mask")
    )
    with computed_in(options.precision, device):
        losses = model.losses(clean, batch["time"], noise or None, kept_of(windows.modalities, options, draws))
    hidden, visible = (torch.stack([x.mean(-1) for x in found], -1) for found in losses)
    loss = options.hidden_weight * hidden.sum() + options.visible_weight * visible.sum()
    return loss, torch.stack([hidden, visible], -2)


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
    ratios = [mask_ratio_of(name, options.mask_ratios, options.mask_ratio) for name in modalities]
    misplaced = "lidar_mask_order" in options.reference_quirks
    exact = "mask_rounding" not in options.reference_quirks
    return [
        kept_tokens(draw, ratio, restore_order=misplaced and place > 0, exact=exact)
        for place, (ratio, draw) in enumerate(zip(ratios, draws, strict=True))
    ]

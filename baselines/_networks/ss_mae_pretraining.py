"""Pretraining of SS-MAE on unlabelled windows of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save

from baselines import _training
from baselines._networks.ss_mae import MaskedAutoencoder
from diffclip.device import repeatable_kernels
from diffclip.files import write_atomically
from diffclip.progress import Progress
from diffclip.randomness import rng, seeded_torch, torch_generator
from diffclip.scene.scene import Imagery

_CURVE_POINTS = 200


def rate(done: float, warm: float = 5 / 300) -> float:
    """Return the factor on the learning rate after a share `done` of the training: rising, 1, 0.1, 0.01."""
    if done < warm:
        return done / warm
    return 1.0 if done < 0.6 else 0.1 if done < 0.8 else 0.01


def pretrain(imagery: Imagery, settings: Mapping[str, Any], *, seed: int, device: str, path: Path) -> dict[str, Any]:
    """Train the masked autoencoder on random windows of a scene, mirrored at random, and write its encoder's weights.

    Args:
        imagery: what the sensors saw.
        settings: window, width, depth, heads, mask_ratio, steps, batch, lr, weight_decay.
        seed: where weights, windows and masks come from.
        device: "cpu" or "cuda".
        path: the .safetensors file to write.

    Returns:
        The loss curve: steps, and the mean loss since the last of them.
    """
    options = SimpleNamespace(**settings)
    windows = _training.StackedWindows(imagery.scaled("minmax-joint"), options.window, device)
    with seeded_torch(seed, "ss_mae", "initial weights"):
        model = MaskedAutoencoder(
            sum(windows.channels), options.window, options.width, options.depth, options.heads
        ).to(device)  # fmt: skip
    with repeatable_kernels(device):
        curve = _train(model, windows, imagery.n_pixels, options, seed, device)
    weights = {name: value.contiguous().cpu() for name, value in model.encoder.state_dict().items()}
    write_atomically(path, lambda file: file.write(save(weights)))
    return curve


def _train(
    model: MaskedAutoencoder, windows: _training.StackedWindows, pixels: int, options: Any, seed: int, device: str
) -> dict[str, Any]:
    optimizer = _training.optimizer_of("adamw", model.parameters(), options.lr, options.weight_decay, betas=(0.9, 0.95))
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate((step + 1) / options.steps))
    places, orders = rng(seed, "ss_mae", "windows"), torch_generator(seed, "ss_mae", "masks")
    flips = torch_generator(seed, "ss_mae", "flips")
    tokens = {"pixels": options.window**2, "bands": sum(windows.channels)}
    curve: dict[str, Any] = {"step": [], "loss": []}
    every, last, total = max(1, options.steps // _CURVE_POINTS), 0, torch.zeros((), device=device)
    progress = Progress(f"ss_mae pretraining, seed {seed}", options.steps)
    for step in progress:
        drawn = torch.from_numpy(places.integers(pixels, size=options.batch)).to(device)
        mirrored = torch.randint(_training.TURNS["flips"], (options.batch,), generator=flips).to(device)
        x = torch.cat(windows(drawn, mirrored), dim=1)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=device)
        for stream, count in tokens.items():
            order = torch.randperm(count, generator=orders).to(device)
            loss = loss + model.error(x, stream, order, options.mask_ratio)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
        rates.step()
        total += loss.detach()
        if (step + 1) % every == 0 or step + 1 == options.steps:
            curve["step"].append(step + 1)
            curve["loss"].append(float(total) / (step + 1 - last))
            last = step + 1
            total.zero_()
            progress.note(loss=curve["loss"][-1])
    return curve

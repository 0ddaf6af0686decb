"""What the two stages learned, made visible: reconstructions of stage 1, features before and after each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float32
from safetensors.torch import load_file
from scipy.ndimage import uniform_filter
from torch import Tensor

from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.model.encoder import Encoder
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import torch_generator
from diffclip.scene.scene import Imagery, PixelIndex
from diffclip.training.pretraining import kept_of, time_limit, untrained, windows_of
from diffclip.training.windows import SceneWindows

if TYPE_CHECKING:
    from diffclip.training.method import DiffCLIPMethod

SHARES = (0.0, 0.1, 0.3, 0.7)  # of the diffusion steps: with 1000 of them, t = 0, 100, 300 and 700
REGION = 66  # pixels: about the side of the square that is reconstructed
_STRETCH = (2.0, 98.0)  # percentiles of the scene that pictures show as black and white, as quick looks do
PERPLEXITY = 30  # of t-SNE, where there are enough pixels for it
_AT_ONCE = 256


def inspect(
    method: DiffCLIPMethod, task: FewShotTask, settings: Mapping[str, Any], pixels: PixelIndex
) -> dict[str, np.ndarray]:
    """Return what pictures of both stages need; the method is fitted on the task.

    Labels besides those of the training pixels are not at hand here: whoever draws the pictures colours `pixels`
    with them after the fact.

    Args:
        method: not fitted.
        task: labelled pixels, seed, device, stage 1's checkpoint.
        settings: of stage 1.
        pixels: (n,) flat positions whose features are wanted.

    Returns:
        Arrays of `for_display` and `features`, see there; the centre pixels' own scaled channels as "features_none"
        (n, B + C); and for each encoder NAME "tsne_NAME" (n, 2), positions of its features on a plane, made with
        "perplexity". In half precision, save what lies beyond its range.

    Raises:
        UserError: the task has no checkpoint.
    """
    if task.pretrained is None:
        raise UserError("task.pretrained: found none, expected stage 1's checkpoint")
    shown = reconstruct(task.scene, settings, task.pretrained, seed=task.seed, device=task.device)
    scaling = settings["scaling"]
    found = for_display(task.scene, scaling, shown) | features(method, task, settings, pixels)
    perplexity = max(1, min(PERPLEXITY, (len(pixels) - 1) // 3))
    found |= {
        key.replace("features", "tsne"): _embedded(array, perplexity)
        for key, array in found.items()
        if key.startswith("features")
    }
    found["perplexity"] = np.array(perplexity)
    found["features_none"] = task.scene.spectra(pixels, scaling=scaling)
    return {key: _halved(array) for key, array in found.items()}


def _embedded(features: Float32[np.ndarray, "n D"], perplexity: int) -> Float32[np.ndarray, "n 2"]:
    """Return positions on a plane (t-SNE, van der Maaten and Hinton 2008); the same features give the same ones."""
    from sklearn.manifold import TSNE

    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def _halved(array: np.ndarray) -> np.ndarray:
    """Return single precision as half precision where its range allows: unscaled rasters may reach further."""
    if array.dtype != np.float32 or np.nanmax(np.abs(array), initial=0) > np.finfo(np.float16).max:
        return array
    return array.astype(np.float16)


def reconstruct(
    imagery: Imagery,
    settings: Mapping[str, Any],
    checkpoint: Path,
    *,
    times: Sequence[int] | None = None,
    seed: int,
    device: str,
) -> dict[str, np.ndarray]:
    """Noise, mask and reconstruct one square region of the scene, window by window.

    Windows lie side by side and know nothing of each other; noise and hidden tokens are the same at all times.

    Args:
        imagery: what the sensors saw.
        settings: of stage 1: window, mask ratio, sizes, ...
        checkpoint: stage 1's weights.
        times: diffusion steps; default: `SHARES` of those that stage 1 draws from, or just 0 where it knows no noise.
        seed: where noise and hidden tokens come from.
        device: "cpu" or "cuda".

    Returns:
        "modalities" (M,) names, "times" (T,), "corner" (2,) row and column of the region, "mse_hidden" and
        "mse_visible" (T, M) in scaled units, and for each modality NAME in scaled units: "NAME_input" (S, S, C),
        "NAME_hidden" (S, S) True where a token counts as hidden, "NAME_noised" and "NAME_reconstructed" (T, S, S, C).
    """
    options = SimpleNamespace(**settings)
    windows = windows_of(imagery, options, device)
    model = _pretrained(windows, options, checkpoint, seed).to(device).eval()
    if times is None:
        times = list(dict.fromkeys(int(share * time_limit(options)) for share in SHARES))
    corner, side = _region(imagery, options.window)
    clean = windows(_tiles(imagery, corner, side, options.window).to(device))
    generator = torch_generator(seed, "inspection", device=device)
    noise = [torch.randn(x.shape, generator=generator, device=device) for x in clean]
    tokens = (options.window // options.token_size) ** 2
    draws = [torch.rand(len(x), tokens, generator=generator, device=device) for x in clean]
    kept = kept_of(windows.modalities, options, draws)
    hidden = [_as_image(_per_pixel(seen.hidden, options), side, options.window)[..., 0] for seen in kept]
    noised, predicted = [], []
    for step in times:
        time = torch.full((len(clean[0]),), step, device=device)
        seen = [model.schedule(x, time, eps) for x, eps in zip(clean, noise, strict=True)]
        noised.append(seen if options.diffusion else clean)
        with torch.no_grad(), repeatable_kernels(device):
            predicted.append(model(noised[-1], time, kept))
    found: dict[str, np.ndarray] = {"times": np.array(times), "corner": np.array(corner)}
    found["modalities"] = np.array(windows.modalities)
    for place, name in enumerate(windows.modalities):
        found[f"{name}_input"] = _as_image(clean[place], side, options.window)
        found[f"{name}_hidden"] = hidden[place]
        for key, steps in (("noised", noised), ("reconstructed", predicted)):
            found[f"{name}_{key}"] = np.stack([_as_image(step[place], side, options.window) for step in steps])
    return found | _errors(found, windows.modalities)


def for_display(imagery: Imagery, scaling: Any, shown: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what `reconstruct` found with just the channels that pictures show: false colour, first raster.

    Beside each modality lies "NAME_limits" (2, channels): the scaled values shown as black and white, from
    percentiles of the whole scene. A channel is scaled by one offset and factor, so that pictures in scaled and in
    original units are the same.
    """
    rasters = imagery.rasters(scaling)
    found = {key: array for key, array in shown.items() if not key.startswith(tuple(f"{name}_" for name in rasters))}
    for name, raster in rasters.items():
        if f"{name}_input" not in shown:
            continue
        channels = list(imagery.info.false_colour) if name == "hsi" else [0]
        found[f"{name}_hidden"] = shown[f"{name}_hidden"]
        for key in ("input", "noised", "reconstructed"):
            found[f"{name}_{key}"] = shown[f"{name}_{key}"][..., channels]
        limits = np.percentile(raster[..., channels], _STRETCH, axis=(0, 1))
        found[f"{name}_limits"] = limits.astype(np.float32)
    return found


def features(
    method: DiffCLIPMethod, task: FewShotTask, settings: Mapping[str, Any], pixels: PixelIndex
) -> dict[str, Float32[np.ndarray, "n D"]]:
    """Return the class tokens of all modalities, side by side, of clean windows at t = 0 from three encoders.

    Args:
        method: not fitted; fitted here.
        task: labelled pixels, seed, device, stage 1's checkpoint.
        settings: of stage 1.
        pixels: (n,) flat positions of the windows' centres.

    Returns:
        "features_before" from stage 1's initial weights, "features_stage_1" from its checkpoint and
        "features_stage_2" from the fitted method.
    """
    assert task.pretrained is not None
    options = SimpleNamespace(**settings)
    windows = windows_of(task.scene, options, task.device)
    before = untrained(windows, options, task.seed).to(task.device)
    after = _pretrained(windows, options, task.pretrained, task.seed).to(task.device)
    method.train(task)
    encoders = {"before": before.encoder, "stage_1": after.encoder, "stage_2": method.model.encoder}
    return {
        f"features_{name}": _class_tokens(encoder.eval(), windows, pixels, task.device)
        for name, encoder in encoders.items()
    }


@torch.no_grad()
def _class_tokens(encoder: Encoder, windows: SceneWindows, pixels: PixelIndex, device: str) -> np.ndarray:
    parts = []
    for batch in torch.from_numpy(np.asarray(pixels, dtype=np.int64)).split(_AT_ONCE):
        batch = batch.to(device)
        encoded = encoder(windows(batch), torch.zeros_like(batch))
        parts.append(torch.cat([tokens[..., 0, :] for tokens in encoded], -1).float().cpu())
    return torch.cat(parts).numpy()


def _pretrained(windows: SceneWindows, options: Any, checkpoint: Path, seed: int) -> MaskedDiffusion:
    model = untrained(windows, options, seed)
    model.load_state_dict(load_file(checkpoint))
    return model


def _region(imagery: Imagery, window: int) -> tuple[tuple[int, int], int]:
    """Return the corner and side of the square with the most contrast: a whole number of windows, inside the scene."""
    height, width = imagery.shape
    side = window * max(1, min(round(REGION / window), min(height, width) // window))
    rasters = [imagery.scaled()[0][..., list(imagery.info.false_colour)], imagery.scaled()[1][..., :1]]
    # A few extreme pixels must not decide.
    shown = np.clip(np.concatenate(rasters, axis=2), -2, 2)
    means = [uniform_filter(x, size=(side, side, 1), origin=(-(side // 2), -(side // 2), 0)) for x in (shown, shown**2)]
    contrast = (means[1] - means[0] ** 2).sum(axis=2)[: height - side + 1, : width - side + 1]
    row, column = np.unravel_index(contrast.argmax(), contrast.shape)
    return (int(row), int(column)), side


def _tiles(imagery: Imagery, corner: tuple[int, int], side: int, window: int) -> Tensor:
    """Return the flat positions of the centres of the windows that tile the region, row by row."""
    steps = torch.arange(window // 2, side, window)
    return ((corner[0] + steps)[:, None] * imagery.shape[1] + corner[1] + steps).flatten()


def _per_pixel(tokens: Tensor, options: Any) -> Tensor:
    """Give every pixel of a window (N, P, 1) what its token (N, T) has."""
    size = options.token_size
    return repeat(tokens, "n (row column) -> n (row i column j) 1", row=options.window // size, i=size, j=size)


def _as_image(windows: Float[Tensor, "n P C"] | Tensor, side: int, window: int) -> np.ndarray:
    """Put windows side by side: (side, side, C)."""
    image = rearrange(windows, "(row column) (i j) c -> (row i) (column j) c", row=side // window, i=window, j=window)
    return image.cpu().numpy()


def _errors(found: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the mean squared errors over hidden and over visible tokens, (T, M) each; NaN over none."""
    errors: dict[str, list[np.ndarray]] = {"mse_hidden": [], "mse_visible": []}
    for name in names:
        squares = ((found[f"{name}_reconstructed"] - found[f"{name}_input"]) ** 2).mean(axis=3)
        hidden = found[f"{name}_hidden"]
        for key, where in (("mse_hidden", hidden), ("mse_visible", ~hidden)):
            errors[key].append(squares[:, where].mean(axis=1) if where.any() else np.full(len(squares), np.nan))
    return {key: np.stack(columns, axis=1) for key, columns in errors.items()}

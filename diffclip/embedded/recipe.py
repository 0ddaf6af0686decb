"""What decides the embedded CLIP: its architecture, the scenes it learns from, and its optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffclip.randomness import rng
from diffclip.scene.simulation.options import SimulationOptions

# In open_clip's own words. The text tower keeps CLIP's tokenizer, whose table holds seven eighths of the parameters.
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@dataclass(frozen=True)
class Recipe:
    """Settings of the embedded CLIP.

    Attributes:
        seed: of weights, scenes, pairs.
        scenes: seeds of the simulated scenes to learn from; no scene that is tested may have one of them.
        fresh: seed of the simulated scene that its zero-shot accuracy is measured on.
        side: height and width of these scenes in pixels.
        windows: sides of the windows that are shown to it; a batch has one.
        steps, batch, lr, weight_decay, warm_up: optimisation (AdamW, cosine to zero after `warm_up` steps).
        checked_window: side of the windows at which its zero-shot accuracy is measured.
        checked_pixels: most pixels per class in that measurement.
    """

    seed: int = 0
    scenes: tuple[int, ...] = tuple(range(90_001, 90_013))
    fresh: int = 90_100
    side: int = 112
    windows: tuple[int, ...] = (5, 7, 9, 11, 13, 15)
    steps: int = 300
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.1
    warm_up: int = 20
    checked_window: int = 11
    checked_pixels: int = 200


def simulation(recipe: Recipe, seed: int) -> SimulationOptions:
    """Return the options of one scene; sun, sharpness and noise differ from scene to scene, as acquisitions do."""
    draw = rng(recipe.seed, "embedded CLIP", "scene", seed)
    return SimulationOptions(
        seed=seed,
        height=recipe.side,
        width=recipe.side,
        bands=13,  # every 50 nm: pictures show three of them
        sun_elevation=draw.uniform(35, 65),
        sun_azimuth=draw.uniform(90, 270),
        mixing=draw.uniform(0.3, 1.0),
        noise=draw.uniform(0.004, 0.015),
        lidar_noise=draw.uniform(0.1, 0.3),
    )

"""Scenes small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffclip.scene.scene import Scene, SceneInfo

SIDE, BANDS = 24, 16


@pytest.fixture(scope="session")
def tiny_scene() -> Callable[..., Scene]:
    """Return `make(channels=2, noise=0.3)`: 24 x 24 pixels, 16 bands, 3 classes in stripes, some pixels unlabelled."""

    def make(channels: int = 2, noise: float = 0.3) -> Scene:
        generator = np.random.default_rng(7)
        classes = np.repeat([1, 2, 3], SIDE // 3)[None, :].repeat(SIDE, axis=0)
        hsi = generator.normal(size=(3, BANDS))[classes - 1] + noise * generator.normal(size=(SIDE, SIDE, BANDS))
        aux = generator.normal(size=(3, channels))[classes - 1] + noise * generator.normal(size=(SIDE, SIDE, channels))
        labels = np.where(generator.random((SIDE, SIDE)) < 0.2, 0, classes)
        info = SceneInfo("Tiny", simulated=True, descriptions=("flat and dark", "high and green", "grey and straight"))
        return Scene("tiny", hsi, aux, labels, ("asphalt", "tree", "roof"), info)

    return make


@pytest.fixture(scope="session")
def scene_of() -> Callable[..., Scene]:
    """Return `make(labels, **fields)`: a scene around a label map (H, W); its classes are called "class 1", ..."""

    def make(labels: np.ndarray, **fields: Any) -> Scene:
        names = tuple(f"class {k}" for k in range(1, int(labels.max()) + 1))
        bands = np.repeat(labels[..., None], 2, axis=2).astype(np.float32)
        return Scene("map", bands, bands[..., :1], labels, names, SceneInfo("Map", simulated=True), **fields)

    return make


@pytest.fixture
def tiny_card(tmp_path: Path) -> Path:
    """The card of a simulated scene of 64 x 64 pixels and 16 bands."""
    path = tmp_path / "cards" / "tiny.yaml"
    path.parent.mkdir()
    path.write_text("title: Tiny\nsimulate: {height: 64, width: 64, bands: 16}\n")
    return path

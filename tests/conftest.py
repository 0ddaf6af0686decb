"""Scenes and a CLIP small enough for a test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffclip.scene.scene import Scene, SceneInfo

# One thread for torch, which reads this when it is loaded: on networks this small, threads that wait for each other
# cost more than they do.
os.environ["OMP_NUM_THREADS"] = "1"

SIDE, BANDS = 24, 16


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep a file's tests on one core: they share what is slow to make. (`--dist` in the settings stops benchmarks.)"""
    if config.getoption("numprocesses", None) and config.getoption("dist") == "no":
        config.option.dist = "loadfile"


TINY_CLIP = "tiny-test-clip"


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


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a model of width 64 with 2 + 2 layers known to open_clip; return its name."""
    import open_clip

    config: dict[str, Any] = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    }
    folder = tmp_path_factory.mktemp("clip-configs")
    (folder / f"{TINY_CLIP}.json").write_text(json.dumps(config))
    (folder / f"{TINY_CLIP}-quickgelu.json").write_text(json.dumps(config | {"quick_gelu": True}))
    open_clip.add_model_config(folder)
    return TINY_CLIP


@pytest.fixture(scope="session")
def tiny_weights(tiny_clip: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the weights of a tiny CLIP as .pt and .safetensors; return the paths by suffix."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = open_clip.create_model(tiny_clip).state_dict()
    folder = tmp_path_factory.mktemp("clip-weights")
    paths = {suffix: folder / f"tiny.{suffix}" for suffix in ("pt", "safetensors")}
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, paths["pt"])
    save_file({name: value.contiguous() for name, value in state.items()}, paths["safetensors"])
    return paths

"""A run on the tiny scene, quick enough to make many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from diffclip.protocol.catalogue import make_method
from diffclip.protocol.evaluation import Run
from diffclip.protocol.method import Method
from diffclip.protocol.records import Identity
from diffclip.protocol.splits import draw_split
from diffclip.scene.scene import Scene


@pytest.fixture(scope="session")
def run_of(tiny_scene: Callable[..., Scene]) -> Callable[..., Run]:
    """Return `make(method, scene=, protocol=, shots=, seed=, **run fields)`: a method meets a split of a scene."""

    def make(
        method: str | Method = "nearest_mean",
        scene: Scene | None = None,
        *,
        protocol: Any = "paper",
        shots: int = 4,
        seed: int = 0,
        margin: int = 3,
        window: int | None = None,
        options: dict[str, Any] | None = None,
        on_small_class: Any = "error",
        **fields: Any,
    ) -> Run:
        scene = scene or tiny_scene()
        name = method if isinstance(method, str) else "nearest_mean"
        made = make_method(name, "default", options) if isinstance(method, str) else method
        identity = Identity(
            scene=scene.name,
            method=name,
            variant="default",
            protocol=protocol,
            shots=shots,
            window=window,
            mask_ratio=None,
            seed=seed,
        )
        split = draw_split(scene, protocol, shots, seed, margin=margin, on_small_class=on_small_class)
        return Run(identity, made, scene, split, **fields)

    return make

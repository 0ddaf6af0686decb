"""Tasks on a tiny scene, quick enough to fit every method many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene


@pytest.fixture(scope="session")
def draw_task() -> Callable[..., FewShotTask]:
    """Return `draw(scene, shots=3, seed=0, classes=(1, 2, 3), **task fields)`: the split depends on the seed alone."""

    def draw(
        scene: Scene,
        shots: int = 3,
        seed: int = 0,
        classes: Sequence[int] = (1, 2, 3),
        *,
        window: int | None = None,
        mask_ratio: float | None = None,
        pretrained: Path | None = None,
    ) -> FewShotTask:
        generator, flat = np.random.default_rng(seed), scene.labels.ravel()
        pixels = np.concatenate([generator.permutation(np.flatnonzero(flat == k))[:shots] for k in classes])
        return FewShotTask(
            scene=scene.imagery,
            train_pixels=pixels,
            train_labels=flat[pixels],
            classes=np.array(classes, dtype=np.int16),
            class_names=tuple(scene.class_names[k - 1] for k in classes),
            class_descriptions=tuple(scene.info.descriptions[k - 1] for k in classes),
            shots=shots,
            seed=seed,
            study_window=window,
            study_mask_ratio=mask_ratio,
            pretrained=pretrained,
        )

    return draw

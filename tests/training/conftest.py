"""A tiny scene, options and tasks for DiffCLIP, quick enough to train many times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene, SceneInfo
from diffclip.training.method import DiffCLIPMethod
from diffclip.training.pretraining import pretrain

SIDE, WINDOW, MASK_RATIO = 16, 5, 0.6
TINY: dict[str, Any] = {
    **dict.fromkeys(("stem", "width", "decoder_width", "embedding", "text_width"), 16),
    **dict.fromkeys(("depth", "decoder_depth", "text_depth"), 1),
    **dict.fromkeys(("heads", "decoder_heads", "text_heads"), 2),
    "pretrain_steps": 3,
    "pretrain_batch": 8,
    "epochs": 3,
    "batch": 8,
}


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Make 16 x 16 pixels, 6 bands and 2 rasters: 3 classes in stripes that noise blurs a little."""
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 2, 3], [5, 5, 6])[None, :].repeat(SIDE, axis=0)
    hsi = generator.normal(size=(3, 6))[labels - 1] + 0.2 * generator.normal(size=(SIDE, SIDE, 6))
    aux = generator.normal(size=(3, 2))[labels - 1] + 0.2 * generator.normal(size=(SIDE, SIDE, 2))
    hsi, aux, labels = hsi.astype(np.float32), aux.astype(np.float32), labels.astype(np.int16)
    return Scene("tiny", hsi, aux, labels, ("asphalt", "tree", "roof"), SceneInfo("Tiny", simulated=True))


@pytest.fixture(scope="session")
def make_method() -> Callable[..., DiffCLIPMethod]:
    """Return `make(**options)`: DiffCLIP with tiny sizes and the given options."""
    return lambda **options: DiffCLIPMethod(DiffCLIPMethod.Options(**(TINY | options)))


@pytest.fixture(scope="session")
def stage_1(make_method: Callable[..., DiffCLIPMethod]) -> Callable[..., dict[str, Any]]:
    """Return `settings(**options)`: what the method hands over to stage 1."""

    def settings(**options: Any) -> dict[str, Any]:
        pretraining = make_method(**options).pretraining(WINDOW, MASK_RATIO)
        assert pretraining is not None
        return dict(pretraining.settings)

    return settings


@pytest.fixture(scope="session")
def checkpoint(scene: Scene, stage_1: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make stage 1's weights once."""
    path = tmp_path_factory.mktemp("stage-1") / "seed-0.safetensors"
    pretrain(scene.imagery, stage_1(), seed=0, device="cpu", path=path)
    return path


@pytest.fixture(scope="session")
def draw_task(scene: Scene) -> Callable[..., FewShotTask]:
    """Return `draw(shots=4, seed=0, pretrained=None)`."""

    def draw(shots: int = 4, seed: int = 0, pretrained: Path | None = None) -> FewShotTask:
        generator, flat = np.random.default_rng(seed), scene.labels.ravel()
        pixels = np.concatenate([generator.permutation(np.flatnonzero(flat == k))[:shots] for k in (1, 2, 3)])
        return FewShotTask(
            scene=scene.imagery,
            train_pixels=pixels,
            train_labels=flat[pixels],
            classes=np.array([1, 2, 3], dtype=np.int16),
            class_names=scene.class_names,
            class_descriptions=(),
            shots=shots,
            seed=seed,
            study_window=WINDOW,
            study_mask_ratio=MASK_RATIO,
            pretrained=pretrained,
        )

    return draw


@pytest.fixture
def global_draws() -> Callable[[], tuple[Any, ...]]:
    """Return a function that tells where torch's and NumPy's global generators stand."""
    return lambda: (
        bytes(torch.random.get_rng_state().tolist()),
        np.random.get_state()[1].tobytes(),  # type: ignore[index]
    )


@pytest.fixture
def learning_rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the learning rate of every step that Adam makes."""
    rates: list[float] = []
    step = torch.optim.Adam.step

    def noted(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> Any:
        rates.append(float(self.param_groups[0]["lr"]))
        return step(self, *args, **kwargs)

    for kind in (torch.optim.Adam, torch.optim.AdamW):
        monkeypatch.setattr(kind, "step", noted)
    return rates

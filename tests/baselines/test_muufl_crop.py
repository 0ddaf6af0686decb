"""Accuracy of the classical baselines on real data: the MUUFL crop named by DIFFCLIP_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from diffclip.protocol.catalogue import make_method
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene, SceneInfo

FOLDER = Path(os.environ.get("DIFFCLIP_DATA", "")) / "muufl-crop"
pytestmark = pytest.mark.skipif(
    "DIFFCLIP_DATA" not in os.environ, reason="set DIFFCLIP_DATA to the folder that holds muufl-crop/ to test accuracy"
)


@pytest.fixture(scope="module")
def crop() -> Scene:
    """90 x 90 pixels of MUUFL Gulfport with its 8 classes numbered without gaps."""
    ids = loadmat(FOLDER / "gt.mat")["gt"]
    kept = np.unique(ids[ids > 0])
    labels = np.where(ids > 0, np.searchsorted(kept, ids) + 1, 0)
    hsi, aux = loadmat(FOLDER / "HSI.mat")["HSI"], loadmat(FOLDER / "LiDAR.mat")["LiDAR"]
    return Scene("muufl-crop", hsi, aux, labels, tuple(f"id {k}" for k in kept), SceneInfo("MUUFL crop", False))


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [("svm", "spectra+aux", 82.0), ("svm", "means", 84.0), ("svm", "emp", 87.0), ("random_forest", "emp", 87.5)],
)
def test_classical_methods_at_ten_shots_are_as_accurate_as_known(crop, name, variant, expected):
    found = []
    for seed in range(3):
        task = _task(crop, seed)
        method = make_method(name, variant)
        method.train(task)
        test = np.setdiff1d(np.flatnonzero(crop.labels), task.train_pixels)
        found.append((method.classify(test).argmax(axis=1) + 1 == crop.labels.ravel()[test]).mean())
    assert 100 * np.mean(found) == pytest.approx(expected, abs=3.0)


def _task(scene: Scene, seed: int) -> FewShotTask:
    flat, generator = scene.labels.ravel(), np.random.default_rng([seed, 10])
    classes = np.arange(1, scene.n_classes + 1, dtype=np.int16)
    pixels = np.concatenate([generator.permutation(np.flatnonzero(flat == k))[:10] for k in classes])
    return FewShotTask(scene.imagery, pixels, flat[pixels], classes, scene.class_names, (), shots=10, seed=seed)

"""Baselines on real data, the MUUFL crop named by DIFFCLIP_DATA: accuracy of the classical, memory of the networks."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

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

NETWORKS = (
    "cnn_1d", "cnn_2d", "cnn_3d", "hybridsn", "two_branch_cnn", "endnet", "coupled_cnn", "s2enet", "fusatnet", "mft",
    "exvit", "spectralformer", "ss_mae",
)  # fmt: skip


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


@pytest.mark.skipif("DIFFCLIP_SLOW" not in os.environ, reason="set DIFFCLIP_SLOW=1 to train networks for minutes")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_forty_shots_almost_by_heart(name, crop, tmp_path):
    network = make_method(name, "small")
    window = 11 if "window" in network.axes else None
    wanted, path = network.pretraining(window, None), tmp_path / "checkpoint"
    if wanted is not None:
        module, _, function = wanted.function.partition(":")
        pretrain = getattr(importlib.import_module(module), function)
        pretrain(crop.imagery, wanted.settings, seed=0, device="cpu", path=path)
    task = _task(crop, 0, shots=40, study_window=window, pretrained=path)
    network.train(task)
    assert (network.classify(task.train_pixels).argmax(axis=1) == task.train_targets).mean() >= 0.95


def _task(scene: Scene, seed: int, shots: int = 10, **fields: Any) -> FewShotTask:
    flat, generator = scene.labels.ravel(), np.random.default_rng([seed, shots])
    classes = np.arange(1, scene.n_classes + 1, dtype=np.int16)
    pixels = np.concatenate([generator.permutation(np.flatnonzero(flat == k))[:shots] for k in classes])
    names = scene.class_names
    return FewShotTask(scene.imagery, pixels, flat[pixels], classes, names, (), shots=shots, seed=seed, **fields)

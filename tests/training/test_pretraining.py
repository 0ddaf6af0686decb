"""Stage 1 learns, repeats itself to the byte and sees no label."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from diffclip.language.tower import TextTower
from diffclip.model.classifier import DiffCLIP
from diffclip.model.encoder import Architecture
from diffclip.scene.scene import Imagery, Scene
from diffclip.training.pretraining import pretrain


@pytest.fixture
def weights(scene, stage_1, tmp_path):
    """Return `make(seed=0, imagery=None, **options)`: the bytes of a checkpoint."""

    def make(seed=0, imagery=None, **options):
        path = tmp_path / "weights.safetensors"
        pretrain(imagery or scene.imagery, stage_1(**options), seed=seed, device="cpu", path=path)
        return path.read_bytes()

    return make


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(weights):
    first = weights(seed=3)
    assert weights(seed=3) == first
    assert weights(seed=4) != first


@pytest.mark.parametrize(("noise_steps", "highest"), [(50, 0.55), (1000, 0.9)])
def test_errors_fall_while_it_learns(scene, stage_1, tmp_path, noise_steps, highest):
    settings = stage_1(pretrain_steps=200, pretrain_batch=32, pretrain_lr=5e-3, diffusion_steps=noise_steps)
    curves = pretrain(scene.imagery, settings, seed=0, device="cpu", path=tmp_path / "w.safetensors")
    assert curves["step"] == list(range(1, 201))
    for errors in (np.array(curves["hidden"]), np.array(curves["visible"])):
        assert errors.shape == (200, 2)
        # Scaled channels have a variance of 1: whoever predicts their mean errs by 1. Much noise leaves little to see.
        assert (errors[-20:].mean(0) < highest).all()
        assert (errors[-20:].mean(0) < 0.85 * errors[:5].mean(0)).all()


def test_every_weight_but_the_fixed_positions_is_trained(weights, scene, stage_1, tmp_path):
    path, untrained = tmp_path / "trained", tmp_path / "untrained"
    pretrain(scene.imagery, stage_1(), seed=0, device="cpu", path=path)
    pretrain(scene.imagery, stage_1(pretrain_steps=0), seed=0, device="cpu", path=untrained)
    before, after = load_file(untrained), load_file(path)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.endswith("positions.weight")}


def test_the_checkpoint_fills_the_classifiers_encoder(checkpoint):
    shape = Architecture(window=5, stem=16, width=16, depth=1, heads=2)
    model = DiffCLIP([6, 2], shape, TextTower(5, 16, 1, 2, 16), embedding=16, temperature=0.07)
    stored = {
        name.removeprefix("encoder."): value
        for name, value in load_file(checkpoint).items()
        if name.startswith("encoder.")
    }
    assert {name: value.shape for name, value in stored.items()} == {
        name: value.shape for name, value in model.encoder.state_dict().items()
    }


def test_labels_play_no_part(weights, scene):
    assert "labels" not in {field.name for field in dataclasses.fields(Imagery)}
    shuffled = np.random.default_rng(1).permutation(scene.labels.ravel()).reshape(scene.labels.shape)
    other = Scene(scene.name, scene.hsi, scene.aux, shuffled, scene.class_names, scene.info)
    assert weights(imagery=other.imagery) == weights()


def test_global_generators_stay_where_they_are(weights, global_draws):
    before = global_draws()
    weights()
    assert global_draws() == before


def test_where_the_global_generators_stand_does_not_matter(weights):
    first = weights()
    with torch.random.fork_rng():
        torch.manual_seed(123)
        assert weights() == first


def test_the_learning_rate_is_restarted_after_5_15_35_75_155_and_315_of_400_epochs(weights, learning_rates):
    weights(pretrain_steps=80, pretrain_lr=1.0, pretrain_batch=2)
    restarts = [0, 5, 15, 35, 75, 155, 315, 635]
    expected = []
    for epoch in range(0, 400, 5):
        start, end = next(pair for pair in pairwise(restarts) if pair[0] <= epoch < pair[1])
        expected.append((1 + math.cos(math.pi * (epoch - start) / (end - start))) / 2)
    assert learning_rates == pytest.approx(expected)


@pytest.mark.parametrize("change", [{"hidden_weight": 1.0}, {"visible_weight": 0.1}, {"diffusion": False}])
def test_what_it_minimises_is_what_was_asked_for(weights, change):
    assert weights(**change) != weights()


def test_without_diffusion_the_noise_schedule_plays_no_part(weights):
    assert weights(diffusion=False, diffusion_steps=10) == weights(diffusion=False, diffusion_steps=1000)
    assert weights(diffusion_steps=10) != weights(diffusion_steps=1000)


def test_stage_1_reads_every_setting_that_names_its_checkpoint(scene, stage_1, tmp_path):
    settings = stage_1()
    for name in settings:
        without = {key: value for key, value in settings.items() if key != name}
        with pytest.raises(AttributeError, match=name):
            pretrain(scene.imagery, without, seed=0, device="cpu", path=tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_one_modality_is_enough(stage_1, scene, tmp_path):
    imagery = Imagery("hsi only", scene.hsi, scene.aux[..., :0], scene.info)
    curves = pretrain(imagery, stage_1(), seed=0, device="cpu", path=tmp_path / "w.safetensors")
    assert np.array(curves["visible"]).shape == (3, 1)

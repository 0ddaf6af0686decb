"""Both stages train several seeds as one model, and each seed learns what it learns alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from diffclip.training.pretraining import pretrain, pretrain_many

SEEDS = (0, 3, 4)
# Few steps: rounding alone moves biases without a gradient by whole steps of Adam (see diffclip.seeds).
LOOSE = {"rtol": 1e-3, "atol": 2e-3}


@pytest.mark.parametrize("options", [{}, {"crops": True, "shared_encoder": False}, {"diffusion": False}])
def test_stage_1_of_seeds_together_is_that_of_each_alone(scene, stage_1, tmp_path, options):
    settings = stage_1(**options)
    paths = [tmp_path / f"together-{seed}.safetensors" for seed in SEEDS]
    joint = pretrain_many(scene.imagery, settings, seeds=SEEDS, device="cpu", paths=paths)
    for seed, path, curves in zip(SEEDS, paths, joint, strict=True):
        alone = pretrain(scene.imagery, settings, seed=seed, device="cpu", path=tmp_path / "alone.safetensors")
        assert curves["step"] == alone["step"]
        np.testing.assert_allclose(curves["hidden"], alone["hidden"], rtol=1e-4)
        np.testing.assert_allclose(curves["visible"], alone["visible"], rtol=1e-4)
        torch.testing.assert_close(load_file(path), load_file(tmp_path / "alone.safetensors"), **LOOSE)
    assert len({json.dumps(curves) for curves in joint}) == len(SEEDS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"head": "linear"},
        {"prompts": ["p1", "p2"], "reference_quirks": ["same_class_negatives", "clean_finetune_random_time"]},
        {"readout": "both", "moved_windows": True, "token_drop": 0.3, "weight_average": 0.9, "balanced": True},
        {"profiles": True, "profile_skip": True, "readout": "pixel", "frozen_encoder": True, "layer_decay": 0.5},
    ],
    ids=["default", "linear", "quirks", "tuned", "profiles"],
)
def test_stage_2_of_seeds_together_is_that_of_each_alone(make_method, draw_task, scene, options: dict[str, Any]):
    method = make_method(pretrain="none", epochs=2, **options)
    assert method.joins_seeds
    methods = [type(method)(method.options) for _ in SEEDS]
    tasks = [replace(draw_task(seed=seed), seed=seed) for seed in SEEDS]
    type(method).train_many(methods, tasks)
    pixels, found = np.arange(100), []
    for task, joined in zip(tasks, methods, strict=True):
        alone = type(method)(method.options)
        alone.train(task)
        np.testing.assert_allclose(joined.classify(pixels), alone.classify(pixels), rtol=1e-2, atol=5e-2)
        torch.testing.assert_close(dict(joined.model.head.state_dict()), dict(alone.model.head.state_dict()), **LOOSE)
        assert joined.n_parameters == alone.n_parameters
        found.append(joined.classify(pixels))
    assert not np.allclose(found[0], found[1], rtol=1e-2, atol=5e-2)


def test_what_is_chosen_for_each_seed_by_itself_does_not_join_them(make_method):
    assert not make_method(reference_quirks=["validation_picks_checkpoint"]).joins_seeds
    assert not make_method(graph=True, stride=2, moved_windows=True, readout="pixel").joins_seeds


def test_stage_2_learns_much_the_same_in_half_precision(make_method, draw_task):
    single, half = (make_method(pretrain="none", epochs=2, precision=precision) for precision in ("fp32", "bf16"))
    for method in (single, half):
        method.train(draw_task())
    pixels = np.arange(100)
    assert half.classify(pixels).dtype == np.float32
    assert 0 < np.abs(half.classify(pixels) - single.classify(pixels)).max() < 1
    assert all(value.dtype != torch.bfloat16 for value in half.model.state_dict().values())


def test_stage_1_learns_much_the_same_in_half_precision(scene, stage_1, tmp_path):
    curves = []
    for precision in ("fp32", "bf16"):
        settings, path = stage_1(precision=precision), tmp_path / f"{precision}.safetensors"
        curves.append(pretrain(scene.imagery, settings, seed=0, device="cpu", path=path))
        assert all(value.dtype == torch.float32 for value in load_file(path).values() if value.is_floating_point())
    assert curves[0]["hidden"] != curves[1]["hidden"]
    np.testing.assert_allclose(curves[0]["hidden"], curves[1]["hidden"], rtol=0.02)

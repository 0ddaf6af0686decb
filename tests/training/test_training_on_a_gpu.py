"""What holds on a GPU alone: a captured step does what an eager one does, reruns are equal, seeds learn together."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from diffclip.training import updates
from diffclip.training.method import DiffCLIPMethod
from diffclip.training.optimisation import stage_1_optimiser
from diffclip.training.options import Options
from diffclip.training.pretraining import pretrain, pretrain_many
from tests.training.conftest import TINY

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
SEEDS = (0, 3, 4)
# Enough for the three eager steps of every batch shape, the capture, and replays.
LONG = {"pretrain_steps": 12, "epochs": 8}


@pytest.fixture(autouse=True)
def no_warning(caplog):
    """A graph that cannot be captured or a part that cannot be compiled is a warning; here it is a failure."""
    with caplog.at_level(logging.WARNING):
        yield
    assert not [record for record in caplog.records if record.name.startswith("diffclip")]


@pytest.fixture(params=[False, True], ids=["eager", "compiled"])
def compiled(request, monkeypatch):
    """Compile, or not, whatever the length of the training."""
    monkeypatch.setattr(updates, "_WORTH_COMPILING", 0 if request.param else 10**9)
    return request.param


def _updated(device_of_updates: str) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    with torch.random.fork_rng(devices=[0]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)).cuda()
        batches = [torch.randn(7 if step % 3 else 5, 6, device="cuda") for step in range(21)]
    optimiser, schedule = stage_1_optimiser(model, Options(**TINY), len(batches))
    update = updates.Updates(
        lambda batch: ((loss := model(batch["x"]).square().mean()), loss[None]),
        optimiser,
        device_of_updates,
        len(batches),
    )
    losses = []
    for x in batches:
        losses.append(update({"x": x}))
        schedule.step()
    return losses, model.state_dict()


def test_captured_updates_are_eager_ones():
    (losses, weights), (eager, expected) = _updated("cuda"), _updated("cpu")
    torch.testing.assert_close(losses, eager)
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp32"},
        {"precision": "tf32", "crops": True},
        {"precision": "bf16"},
        {"precision": "bf16-triton", "heads": 1, "decoder_heads": 1},
        {"shared_encoder": False},
    ],
    ids=["fp32", "tf32", "bf16", "bf16-triton", "apart"],
)
def test_stage_1_gives_the_same_bytes_again_and_seeds_learn_as_alone(scene, stage_1, tmp_path, compiled, options):
    settings = stage_1(**LONG, **options)
    paths = [tmp_path / f"{seed}.safetensors" for seed in SEEDS]
    curves = pretrain_many(scene.imagery, settings, seeds=SEEDS, device="cuda", paths=paths)
    again = [tmp_path / f"{seed}-again.safetensors" for seed in SEEDS]
    assert pretrain_many(scene.imagery, settings, seeds=SEEDS, device="cuda", paths=again) == curves
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    exact = options.get("precision", "fp32") == "fp32"
    for seed, path, joint in zip(SEEDS, paths, curves, strict=True):
        alone = pretrain(scene.imagery, settings, seed=seed, device="cuda", path=tmp_path / "alone.safetensors")
        np.testing.assert_allclose(joint["hidden"], alone["hidden"], rtol=1e-3 if exact else 3e-2)
        assert set(load_file(path)) == set(load_file(tmp_path / "alone.safetensors"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"head": "linear", "frozen_encoder": True},
        {"prompts": ["p1", "p2"], "reference_quirks": ["same_class_negatives", "clean_finetune_random_time"]},
        {"readout": "both", "moved_windows": True, "token_drop": 0.3, "weight_average": 0.9, "layer_decay": 0.5},
        {"profiles": True, "profile_skip": True, "readout": "pixel", "balanced": True},
        {"precision": "bf16-triton", "heads": 1, "depth": 2},
    ],
    ids=["default", "linear", "quirks", "tuned", "profiles", "bf16-triton"],
)
def test_stage_2_gives_the_same_scores_again_and_seeds_learn_as_alone(make_method, draw_task, compiled, options):
    tasks = [replace(draw_task(seed=seed), seed=seed, device="cuda") for seed in SEEDS]
    pixels, found = np.arange(200), []
    for _ in range(2):
        methods: list[DiffCLIPMethod] = [make_method(pretrain="none", **LONG, **options) for _ in SEEDS]
        DiffCLIPMethod.train_many(methods, tasks)
        found.append([method.classify(pixels) for method in methods])
    np.testing.assert_array_equal(found[0], found[1])
    for task, scores in zip(tasks, found[0], strict=True):
        alone = make_method(pretrain="none", **LONG, **options)
        alone.train(task)
        agree = alone.classify(pixels).argmax(1) == scores.argmax(1)
        assert agree.mean() > 0.95


def test_the_devices_give_the_same_scores(make_method, draw_task):
    scores = []
    for device in ("cpu", "cuda"):
        method = make_method(pretrain="none", epochs=0, stride=2, moved_windows=True, readout="pixel")
        method.train(replace(draw_task(), device=device))
        scores.append(method.classify(np.arange(256)))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-4)

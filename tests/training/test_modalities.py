"""The number of modalities is a length: a scene with three of them goes through everything that one with two does."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.training.finetuning import finetune
from diffclip.training.inspection import for_display, reconstruct
from diffclip.training.pretraining import kept_of, pretrain
from diffclip.training.windows import SceneWindows

NAMES = ["hsi", "lidar", "sar"]


@pytest.fixture(scope="module")
def imagery(scene):
    """The tiny scene with two LiDAR channels and one SAR channel between them."""
    aux = np.stack([scene.aux[..., 0], scene.hsi[..., 0] ** 2, scene.aux[..., 1]], axis=2)
    info = dataclasses.replace(scene.info, aux_modalities=("lidar", "sar", "lidar"))
    return dataclasses.replace(scene.imagery, aux=aux, info=info, _scaled={})


@pytest.fixture(scope="module")
def learned(imagery, stage_1, tmp_path_factory):
    """Stage 1's settings, loss curves and checkpoint on three modalities."""
    path = tmp_path_factory.mktemp("three") / "seed-0.safetensors"
    settings = stage_1()
    return settings, pretrain(imagery, settings, seed=0, device="cpu", path=path), path


def test_aux_stands_for_all_modalities_of_the_card_and_each_goes_by_its_name(imagery):
    def seen(*names):
        windows = SceneWindows(imagery, "standard", 5, "cpu", names)
        return list(zip(windows.modalities, windows.channels, strict=True))

    assert seen("hsi", "aux") == [("hsi", 6), ("lidar", 2), ("sar", 1)]
    assert seen("sar", "hsi") == [("sar", 1), ("hsi", 6)]
    assert seen("sar", "aux") == [("sar", 1), ("lidar", 2)]
    lidar = SceneWindows(imagery, "none", 1, "cpu", ["lidar"])
    rows = imagery.aux.reshape(-1, 3)
    np.testing.assert_array_equal(lidar(torch.arange(5))[0][:, 0].numpy(), rows[:5, [0, 2]])


def test_a_modality_that_the_scene_does_not_have_is_refused_by_name(imagery, scene):
    with pytest.raises(UserError, match="scene tiny: modalities: found rgb, expected some of hsi, lidar, sar"):
        SceneWindows(imagery, "standard", 5, "cpu", ["hsi", "rgb"])
    with pytest.raises(UserError, match="found lidar, expected some of hsi, aux"):
        SceneWindows(scene.imagery, "standard", 5, "cpu", ["lidar"])


def test_profiles_go_to_the_modality_that_they_come_from(imagery):
    assert SceneWindows(imagery, "standard", 5, "cpu", profiles=True).profiles == [45, 18, 9]


def test_joint_scaling_is_joint_within_a_modality_alone(imagery):
    big = dataclasses.replace(imagery, aux=imagery.aux * np.array([1, 1000, 1], dtype=np.float32), _scaled={})
    lidar, sar = (big.rasters("minmax-joint")[name] for name in ("lidar", "sar"))
    assert (lidar.min(), lidar.max(), sar.min(), sar.max()) == (0, 1, 0, 1)


def test_both_stages_learn_from_three_modalities(make_method, draw_task, imagery, learned):
    _, curves, path = learned
    assert np.array(curves["hidden"]).shape[1] == np.array(curves["visible"]).shape[1] == 3
    task = dataclasses.replace(draw_task(pretrained=path), scene=imagery)
    method = make_method()
    method.train(task)
    assert len(method.model.encoder.modalities) == 3
    assert method.model.head.in_features == 3 * 16
    assert method.classify(np.arange(256)).shape == (256, 3)


@pytest.mark.parametrize("name", NAMES)
def test_every_modality_counts(make_method, draw_task, imagery, name):
    changed = imagery.hsi[::-1] if name == "hsi" else imagery.aux.copy()
    if name != "hsi":
        places = imagery.aux_channels[name]
        changed[..., places] = changed[::-1][..., places].copy()
    other = dataclasses.replace(imagery, **{"hsi" if name == "hsi" else "aux": changed.copy()}, _scaled={})
    options = make_method(pretrain="none").options
    first, second = (finetune(dataclasses.replace(draw_task(), scene=x), options)[0] for x in (imagery, other))
    assert not np.array_equal(first.head.weight.detach(), second.head.weight.detach())


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({}, [10, 10, 10]),
        ({"aux": 0.2}, [10, 20, 20]),
        ({"aux": 0.2, "sar": 0.6}, [10, 20, 10]),
        ({"hsi": 0.8, "lidar": 0.0}, [5, 25, 10]),
    ],
)
def test_each_modality_may_hide_a_share_of_its_own(stage_1, ratios, expected):
    settings = SimpleNamespace(**stage_1(mask_ratios=ratios))
    kept = kept_of(NAMES, settings, [torch.rand(2, 25) for _ in NAMES])
    assert [seen.index.shape[-1] for seen in kept] == expected


def test_a_share_of_its_own_that_changes_nothing_shares_the_checkpoint(stage_1):
    assert stage_1(mask_ratios={"sar": 0.6, "hsi": 0.6}) == stage_1()
    assert stage_1(mask_ratios={"aux": 0.2, "sar": 0.2}) == stage_1(mask_ratios={"aux": 0.2})
    assert stage_1(mask_ratios={"aux": 0.2, "sar": 0.6}) != stage_1(mask_ratios={"aux": 0.2})


def test_pictures_show_all_of_them_in_the_networks_order(imagery, learned):
    settings, _, path = learned
    shown = reconstruct(imagery, settings, path, seed=0, device="cpu")
    assert shown["modalities"].tolist() == NAMES
    assert shown["mse_hidden"].shape == (4, 3)
    found = for_display(imagery, "standard", shown)
    assert [found[f"{name}_reconstructed"].shape[-1] for name in NAMES] == [3, 1, 1]

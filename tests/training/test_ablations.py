"""Every ablation turns what it names: what stage 1 and the encoder see, share and hide."""

from __future__ import annotations

import dataclasses
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method as checked_method
from diffclip.scene.scene import Imagery
from diffclip.training import pretraining
from diffclip.training.finetuning import finetune
from diffclip.training.pretraining import kept_of, pretrain, pretrain_labelled
from diffclip.training.variants import TUNED
from diffclip.training.windows import cropped


@pytest.fixture
def learned(scene, make_method, tmp_path):
    """Return `make(imagery=None, window=5, mask_ratio=0.6, **options)`: a checkpoint's path."""

    def make(imagery=None, window=5, mask_ratio=0.6, **options):
        settings = make_method(**options).pretraining(window, mask_ratio).settings
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        pretrain(imagery or scene.imagery, settings, seed=0, device="cpu", path=path)
        return path

    return make


def _both_stages(make_method, draw_task, learned, window=5, **options):
    method = make_method(**options)
    task = dataclasses.replace(draw_task(pretrained=learned(window=window, **options)), study_window=window)
    method.train(task)
    return method, task


@pytest.mark.parametrize(
    ("modalities", "channels"), [(["hsi"], [6]), (["aux"], [2]), (["hsi", "aux"], [6, 2]), (["aux", "hsi"], [2, 6])]
)
def test_only_the_modalities_asked_for_are_seen_in_their_order(make_method, draw_task, learned, modalities, channels):
    method, task = _both_stages(make_method, draw_task, learned, modalities=tuple(modalities))
    assert [embed.stem[0].in_features for embed in method.model.encoder.modalities] == channels
    assert method.model.head.in_features == 16 * len(channels)
    before = method.classify(np.arange(256))
    for name in ("hsi", "aux"):
        changed = dataclasses.replace(task.scene, **{name: getattr(task.scene, name)[::-1].copy()}, _scaled={})
        again = make_method(modalities=tuple(modalities), pretrain="none")
        twins = [dataclasses.replace(task, scene=imagery) for imagery in (task.scene, changed)]
        scores = []
        for twin in twins:
            again.train(twin)
            scores.append(again.classify(np.arange(256)))
        assert np.array_equal(*scores) is (name not in modalities)
    assert np.isfinite(before).all()


@pytest.mark.parametrize("modalities", [[], ["hsi", "hsi"], ["Lidar 1"]])
def test_no_modality_a_double_one_or_an_unknown_one_is_refused(modalities):
    with pytest.raises(UserError, match="modalities"):
        checked_method("diffclip", "x", {"modalities": modalities})


def test_a_scene_without_the_only_modality_is_refused(make_method, draw_task, scene):
    bare = Imagery("bare", scene.hsi, scene.aux[..., :0], scene.info)
    task = dataclasses.replace(draw_task(), scene=bare)
    with pytest.raises(UserError, match="scene bare: modalities: found no channel of aux"):
        finetune(task, make_method(pretrain="none", modalities=("aux",)).options)
    assert len(finetune(task, make_method(pretrain="none").options)[0].encoder.modalities) == 1


def test_separate_encoders_are_trained_apart_in_both_stages(make_method, draw_task, learned):
    method, task = _both_stages(make_method, draw_task, learned, shared_encoder=False)
    stored, final = load_file(task.pretrained), method.model.encoder.state_dict()
    names = [name for name in final if name.startswith("others.0.")]
    assert names
    for name in names:
        own = name.removeprefix("others.0.")
        assert not torch.equal(stored[f"encoder.{name}"], stored[f"encoder.{own}"]) or "norm" in name
        assert not torch.equal(final[name], stored[f"encoder.{name}"])
    shared = make_method(pretrain="none")
    shared.train(task)
    assert method.n_parameters > shared.n_parameters


def _kept(make_method, mask_ratio, **options):
    settings = SimpleNamespace(**make_method(**options).options.stage_1(5, mask_ratio))
    kept = kept_of(["hsi", "aux"], settings, [torch.rand(3, 25), torch.rand(3, 25)])
    return [seen.index.shape[-1] for seen in kept]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [10, 10]),
        ({"masking": False}, [25, 25]),
        ({"mask_ratios": {"aux": 0.2}}, [10, 20]),
        ({"mask_ratios": {"aux": 0.0}}, [10, 25]),
        ({"mask_ratios": {"aux": 0.2}, "masking": False}, [25, 25]),
    ],
)
def test_so_many_tokens_are_kept_of_each_modality(make_method, options, expected):
    assert _kept(make_method, 0.6, **options) == expected


@pytest.mark.parametrize(
    ("options", "masked"),
    [
        ({}, True),
        ({"pretrain": "labelled"}, True),
        ({"pretrain": "none"}, False),
        ({"masking": False}, False),
        ({"mask_ratios": {"aux": 0.3}}, True),
        ({"mask_ratios": {"aux": 0.3}, "modalities": ("aux",)}, False),
        ({"modalities": ("aux",)}, True),
        ({"mask_ratios": {"hsi": 0.5, "aux": 0.3}}, False),
        ({"mask_ratios": {"hsi": 0.5, "lidar": 0.3}, "modalities": ("hsi", "lidar", "sar")}, True),
        ({"mask_ratios": {"lidar": 0.3}, "modalities": ("lidar",)}, False),
    ],
)
def test_the_mask_ratio_is_an_axis_where_it_hides_something(make_method, options, masked):
    assert ("mask_ratio" in make_method(**options).axes) is masked
    assert "window" in make_method(**options).axes


def test_a_mask_ratio_of_its_own_equal_to_the_studys_shares_the_checkpoint(make_method):
    plain, own = make_method().pretraining(5, 0.6), make_method(mask_ratios={"aux": 0.6}).pretraining(5, 0.6)
    assert plain == own
    assert make_method(mask_ratios={"aux": 0.5}).pretraining(5, 0.6) != plain


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_a_mask_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(UserError, match=r"found mask_ratios {'aux': .*}, expected 0 <= ratio < 1"):
        checked_method("diffclip", "x", {"mask_ratios": {"aux": ratio}})


def test_neither_noise_nor_masks_leave_a_plain_autoencoder(scene, make_method, learned, tmp_path):
    options = {"masking": False, "diffusion": False, "pretrain_steps": 60, "pretrain_lr": 5e-3}
    settings = make_method(**options).pretraining(5, None).settings
    curves = pretrain(scene.imagery, settings, seed=0, device="cpu", path=tmp_path / "w")
    assert not np.array(curves["hidden"]).any()
    visible = np.array(curves["visible"])
    assert (visible[-5:].mean(0) < 0.7 * visible[:5].mean(0)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"masking": False},
        {"mask_ratios": {"aux": 0.2}},
        {"crops": True},
        {"modalities": ("hsi",)},
        {"shared_encoder": False},
    ],
)
def test_an_ablation_of_stage_1_changes_its_weights(learned, change):
    assert learned(**change).read_bytes() != learned().read_bytes()


def test_stage_1_on_labelled_pixels_sees_their_windows_alone(make_method, draw_task, scene, monkeypatch):
    asked = []
    drawn = pretraining._drawn
    monkeypatch.setattr(
        pretraining, "_drawn", lambda windows, pixels, *rest: asked.append(pixels) or drawn(windows, pixels, *rest)
    )
    method = make_method(pretrain="labelled", pretrain_epochs=3, pretrain_batch=5)
    assert method.pretraining(5, 0.6) is None
    assert not method.transductive
    task = draw_task()
    method.train(task)
    # 12 pixels in batches of 5 are 3 steps an epoch.
    assert [len(batch) for batch in asked] == [5, 5, 2] * 3
    for epoch in (asked[:3], asked[3:6], asked[6:]):
        assert sorted(torch.cat(epoch).tolist()) == sorted(task.train_pixels.tolist())


def test_stage_1_on_labelled_pixels_is_where_stage_2_starts(make_method, draw_task):
    task = draw_task()
    options = make_method(pretrain="labelled", epochs=0, pretrain_epochs=2).options
    model, _, _ = finetune(task, options)
    weights = pretrain_labelled(task, options.stage_1(5, 0.6))
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, weights[f"encoder.{name}"]), name
    other = pretrain_labelled(task, options.stage_1(5, 0.2))
    assert not torch.equal(other["encoder.norm.weight"], weights["encoder.norm.weight"])


def test_labels_play_no_part_in_stage_1_on_labelled_pixels(make_method, draw_task):
    task, settings = draw_task(), make_method(pretrain="labelled", pretrain_epochs=2).options.stage_1(5, 0.6)
    wrong = dataclasses.replace(task, train_labels=task.train_labels[::-1].copy())
    one, two = (pretrain_labelled(found, settings) for found in (task, wrong))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_stage_1_on_another_scene_shares_that_scenes_checkpoint_and_sees_no_test_window(make_method):
    elsewhere, here = make_method(pretrain_scene="muufl-crop"), make_method()
    found = elsewhere.pretraining(5, 0.6)
    assert found.scene == "muufl-crop"
    assert dataclasses.replace(found, scene=None, inspection=None) == dataclasses.replace(
        here.pretraining(5, 0.6), inspection=None
    )
    assert not elsewhere.transductive
    assert "mask_ratio" in elsewhere.axes


@pytest.mark.parametrize("pretrain", ["labelled", "none"])
def test_another_scene_goes_with_stage_1_on_a_scene_only(pretrain):
    with pytest.raises(UserError, match=f"found pretrain_scene and pretrain {pretrain}, expected pretrain scene"):
        checked_method("diffclip", "x", {"pretrain": pretrain, "pretrain_scene": "muufl"})


@pytest.mark.parametrize("path", ["cards/other", "other.yaml"])
def test_another_scene_is_named_so_that_it_is_known_from_the_tested_one(path):
    with pytest.raises(UserError, match=f"found pretrain_scene {path}, expected the name of a card, not a path"):
        checked_method("diffclip", "x", {"pretrain_scene": path})


def test_weights_of_another_scene_are_taken_over_but_for_stems_that_do_not_fit(
    make_method, draw_task, scene, learned, caplog
):
    other = Imagery("other", scene.hsi[..., :4].copy(), scene.aux, scene.info)
    path = learned(imagery=other, pretrain_steps=20, pretrain_lr=1e-2)
    options = make_method(epochs=0, pretrain_scene="other").options
    with caplog.at_level(logging.INFO):
        model, _, _ = finetune(draw_task(pretrained=path), options)
    fresh, _, _ = finetune(draw_task(), make_method(epochs=0, pretrain="none").options)
    stored, initial = load_file(path), fresh.encoder.state_dict()
    for name, value in model.encoder.state_dict().items():
        expected = initial[name] if name.startswith("modalities.0.stem.") else stored[f"encoder.{name}"]
        assert torch.equal(value, expected), name
    assert [message for message in caplog.messages if "starts anew" in message] == [
        "stage 1 of another scene: modalities.0.stem does not fit and starts anew"
    ]


def test_a_modality_that_the_other_scene_does_not_have_starts_anew(make_method, draw_task, scene, learned):
    path = learned(imagery=Imagery("bare", scene.hsi, scene.aux[..., :0], scene.info))
    model, _, _ = finetune(draw_task(pretrained=path), make_method(epochs=0, pretrain_scene="bare").options)
    fresh, _, _ = finetune(draw_task(), make_method(epochs=0, pretrain="none").options)
    for name, value in fresh.encoder.state_dict().items():
        if name.startswith("modalities.1."):
            assert torch.equal(model.encoder.state_dict()[name], value)
    assert torch.equal(model.encoder.norm.weight, load_file(path)["encoder.norm.weight"])


def test_of_an_encoder_from_another_scene_the_stems_that_start_anew_take_their_statistics_here(
    make_method, draw_task, scene, learned
):
    path = learned(imagery=Imagery("other", scene.hsi[..., :4].copy(), scene.aux, scene.info))
    method = make_method(pretrain_scene="other", frozen_encoder=True)
    encoder, stored = finetune(draw_task(pretrained=path), method.options)[0].encoder, load_file(path)
    hsi, aux = (embed.stem[1].running_mean for embed in encoder.modalities)
    assert hsi.any()
    assert torch.equal(aux, stored["encoder.modalities.1.stem.1.running_mean"])
    assert method.transductive


@pytest.mark.parametrize(("window", "token_size"), [(9, 3), (5, 5), (3, 1)])
def test_larger_tokens_go_through_both_stages_and_inference(make_method, draw_task, learned, window, token_size):
    method, _ = _both_stages(make_method, draw_task, learned, window=window, token_size=token_size)
    method.check(window)
    assert method.model.encoder.modalities[0].positions().shape[0] == 1 + (window // token_size) ** 2
    assert method.classify(np.arange(256)).shape == (256, 3)


@pytest.mark.parametrize("window", [5, 7, 15, 27])
def test_windows_of_all_sizes_go_through_both_stages_of_the_default_and_of_tuned(
    make_method, draw_task, scene, learned, window
):
    chosen = {name: value for name, value in TUNED.items() if not name.startswith("pretrain")} | {"steps": 1}
    for options in ({"epochs": 1}, chosen):
        method, _ = _both_stages(make_method, draw_task, learned, window=window, **options, pretrain_steps=1)
        method.check(window)
        assert np.isfinite(method.classify(np.arange(256))).all()


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_all_mask_ratios_hide_their_share_and_learn(scene, make_method, tmp_path, ratio):
    settings = make_method(pretrain_steps=2).pretraining(11, ratio).settings
    curves = pretrain(scene.imagery, settings, seed=0, device="cpu", path=tmp_path / "w")
    assert np.array(curves["hidden"]).min() > 0
    (kept, _) = kept_of(["hsi", "aux"], SimpleNamespace(**settings), [torch.rand(1, 121)] * 2)
    assert kept.index.shape[-1] == int(121 * (1 - ratio) + 1e-9)


def test_windows_that_tokens_do_not_fill_or_crops_empty_are_refused_before_anything_runs(make_method):
    with pytest.raises(UserError, match="token_size: found 2, expected a divisor of the window 5"):
        make_method(token_size=2).check(5)
    with pytest.raises(UserError, match="crops: found a window of 1 pixel, expected 3 or more"):
        make_method(crops=True).check(1)
    make_method(token_size=5, crops=True).check(5)


def test_a_cropped_window_is_its_inside_stretched_bilinearly():
    window = torch.arange(25.0)[:, None].expand(25, 2) * torch.tensor([1.0, -2.0])
    found = cropped(window[None], torch.tensor([True]), 5)[0]
    assert found.shape == (25, 2)
    # The inside of 3 x 3 pixels spans rows and columns 1 to 3; pixel centres of the stretched window lie 0.6 apart.
    places = [min(max((k + 0.5) * 0.6 - 0.5, 0.0), 2.0) + 1 for k in range(5)]
    expected = torch.tensor([5 * row + column for row in places for column in places])
    torch.testing.assert_close(found[:, 0], expected)
    torch.testing.assert_close(found[:, 1], -2 * expected)
    assert torch.equal(cropped(window[None], torch.tensor([False]), 5)[0], window)


def test_variants_are_what_their_names_say():
    expected = {
        "without-stage-1": {"pretrain": "none"},
        "in-domain-clip": {"pretrain": "none"},
        "pretrain-labelled": {"pretrain": "labelled"},
        "without-noise": {"diffusion": False},
        "without-masking": {"masking": False},
        "separate-encoders": {"shared_encoder": False},
        "hsi-only": {"modalities": ["hsi"]},
        "aux-only": {"modalities": ["aux"]},
        "as-written": {"text_tower": "clip"},
    }
    default = checked_method("diffclip").settings()
    for variant, changes in expected.items():
        assert checked_method("diffclip", variant).settings() == default | changes, variant


def test_weights_of_the_scene_itself_must_fit(make_method, draw_task, scene, learned):
    path = learned(imagery=Imagery("other", scene.hsi[..., :4].copy(), scene.aux, scene.info))
    with pytest.raises(RuntimeError, match="modalities.0.stem.0.weight"):
        finetune(draw_task(pretrained=path), make_method(epochs=0).options)

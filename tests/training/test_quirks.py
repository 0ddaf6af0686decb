"""Every deviation of the released code does what its name says, and nothing when it is not asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.model.classifier import DiffCLIP, contrastive_loss, instance_loss
from diffclip.protocol.catalogue import make_method as checked_method
from diffclip.training import finetuning, picking, pretraining
from diffclip.training.finetuning import finetune
from diffclip.training.inference import times_of
from diffclip.training.pretraining import kept_of, pretrain, windows_of
from diffclip.training.quirks import QUIRKS, STAGE_1


def with_validation(task, scene, count=30):
    """Return the task with some pixels of known class that do not train."""
    flat = scene.labels.ravel()
    others = np.setdiff1d(np.flatnonzero(flat), task.train_pixels)
    pixels = np.sort(np.random.default_rng(5).permutation(others)[:count])
    return dataclasses.replace(task, validation_pixels=pixels, validation_labels=flat[pixels])


@pytest.fixture
def given(monkeypatch):
    """Collect what the classifier is given while it trains: (windows, time) of every batch."""
    seen = []
    pixels = DiffCLIP.pixels

    def noted(self, windows, time, places, kept=None):
        if self.training:
            seen.append((windows, time))
        return pixels(self, windows, time, places, kept)

    monkeypatch.setattr(DiffCLIP, "pixels", noted)
    return seen


def test_as_released_is_all_quirks_and_the_options_that_they_set():
    options = checked_method("diffclip", "as-released").options
    assert options.reference_quirks == QUIRKS
    assert len(QUIRKS) == 13
    set_by_quirks = (options.pretrain, options.scaling, options.crops, options.temperature, options.text_tower)
    assert set_by_quirks == ("labelled", "minmax-joint", True, 0.7, "scratch")
    assert (options.pretrain_epochs, options.epochs, options.batch, options.pretrain_batch) == (400, 150, 128, 128)


def test_quirks_are_a_set_and_unknown_ones_are_refused_with_a_hint():
    one, two = (
        checked_method("diffclip", "x", {"reference_quirks": names})
        for names in (["tiny_head", "random_test_time", "tiny_head"], ["random_test_time", "tiny_head"])
    )
    assert one.settings() == two.settings()
    with pytest.raises(UserError, match="did you mean 'lidar_mask_order'"):
        checked_method("diffclip", "x", {"reference_quirks": ["lidar_mask_ordr"]})


@pytest.mark.parametrize(
    ("quirk", "option", "value"),
    [
        ("pretrain_on_labelled_only", "pretrain", "none"),
        ("joint_lidar_scaling", "scaling", "minmax"),
        ("warm_logit_scale", "temperature", 0.1),
        ("scratch_text_tower", "text_tower", "clip"),
    ],
)
def test_an_option_that_contradicts_a_quirk_is_refused(quirk, option, value):
    with pytest.raises(UserError, match=f"found {option} {value!r} and the quirk {quirk}, which sets"):
        checked_method("diffclip", "x", {"reference_quirks": [quirk], option: value})


def test_quirks_of_stage_1_have_checkpoints_of_their_own_and_others_share_one(make_method):
    def settings(*quirks):
        return make_method(reference_quirks=quirks, **({"pretrain": "scene"})).options.stage_1(5, 0.6)

    plain = settings()
    for quirk in QUIRKS:
        if quirk in ("pretrain_on_labelled_only", "validation_in_test"):
            continue
        changed = settings(quirk) != plain
        assert changed == (quirk in {*STAGE_1, "joint_lidar_scaling"}), quirk


def test_lidar_mask_order_shows_other_lidar_tokens_and_the_right_hsi_ones(make_method):
    draws = [torch.rand(400, 121, generator=torch.Generator().manual_seed(place)) for place in range(2)]
    right, wrong = (
        kept_of(["hsi", "aux"], make_options(make_method, quirks), draws) for quirks in ((), ("lidar_mask_order",))
    )
    assert torch.equal(wrong[0].seen, right[0].seen)
    assert torch.equal(wrong[1].index, right[1].index)
    meant = [set(row) for row in right[1].index.tolist()]
    shown = wrong[1].seen.tolist()
    among = np.mean([token in meant[row] for row, tokens in enumerate(shown) for token in tokens])
    in_place = (wrong[1].seen == right[1].index).float().mean().item()
    # 36 of 121 tokens are kept: so many of a random choice are the ones meant.
    assert among == pytest.approx(36 / 121, abs=0.01)
    assert in_place < 0.03


def make_options(make_method, quirks, ratio=0.7, **options):
    from types import SimpleNamespace

    return SimpleNamespace(**make_method(reference_quirks=quirks, **options).options.stage_1(5, ratio))


def test_mask_rounding_loses_a_token_to_floating_point(make_method):
    draws = [torch.rand(2, 25), torch.rand(2, 25)]
    for quirks, expected in (((), 5), (("mask_rounding",), 4)):
        kept = kept_of(["hsi", "aux"], make_options(make_method, quirks, 0.8), draws)
        assert [seen.index.shape[-1] for seen in kept] == [expected, expected]


@pytest.mark.parametrize(("quirks", "apart"), [((), False), (("unpaired_crops",), True)])
def test_crops_stretch_half_of_the_windows_alike_unless_they_are_unpaired(make_method, scene, quirks, apart):
    options = make_options(make_method, quirks, crops=True)
    clean = windows_of(scene.imagery, options, "cpu")(torch.arange(256))
    found = pretraining._crops(clean, options, torch.Generator().manual_seed(0))
    changed = [~torch.isclose(a, b).flatten(1).all(1) for a, b in zip(found, clean, strict=True)]
    assert all(0.35 < share.float().mean() < 0.65 for share in changed)
    assert torch.equal(changed[0], changed[1]) is not apart


@pytest.mark.parametrize("quirk", STAGE_1)
def test_a_quirk_of_stage_1_changes_its_weights(make_method, scene, tmp_path, quirk):
    paths = [tmp_path / name for name in ("plain", "quirk")]
    for path, quirks in zip(paths, ((), (quirk,)), strict=True):
        settings = make_method(reference_quirks=quirks, crops=True).options.stage_1(5, 0.8)
        pretrain(scene.imagery, settings, seed=0, device="cpu", path=path)
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_joint_lidar_scaling_leaves_lidar_channels_of_different_units_apart(make_method, draw_task, scene):
    bumpy = dataclasses.replace(scene, aux=scene.aux * np.array([1.0, 1000.0], dtype=np.float32))
    task = dataclasses.replace(draw_task(), scene=bumpy.imagery)
    spans = []
    for quirks in ((), ("joint_lidar_scaling",)):
        _, _, windows = finetune(task, make_method(reference_quirks=quirks, pretrain="none", epochs=0).options)
        lidar = windows(torch.arange(256))[1]
        spans.append((lidar.amax((0, 1)) - lidar.amin((0, 1))).tolist())
    assert spans[0][0] > 1
    assert spans[1][0] < 0.01 * spans[1][1]


def test_clean_finetune_random_time_trains_clean_windows_at_random_steps(make_method, draw_task, given):
    options = make_method(reference_quirks=["clean_finetune_random_time"], pretrain="none", epochs=30, batch=32).options
    _, _, windows = finetune(draw_task(), options)
    times = torch.cat([time for _, time in given])
    assert len(times.unique()) > 200
    assert 0 <= times.min() < 100
    assert 900 < times.max() < 1000
    everywhere = windows(torch.arange(256))[0]
    first = given[0][0][0][0]
    assert (first == everywhere).flatten(1).all(1).any(), "windows are clean"
    given.clear()
    finetune(draw_task(), options)
    assert torch.equal(torch.cat([time for _, time in given]), times)


def test_random_test_time_belongs_to_the_pixel_and_the_seed(make_method, draw_task, monkeypatch):
    method = make_method(reference_quirks=["random_test_time"], pretrain="none", epochs=5, lr=1e-2)
    method.train(draw_task())
    times = times_of(method.task, method.options)
    assert times.shape == (256,)
    assert len(times.unique()) > 150
    assert not torch.equal(times, times_of(draw_task(seed=1), method.options))
    asked = []
    images = DiffCLIP.images
    monkeypatch.setattr(
        DiffCLIP, "images", lambda self, x, time, *rest: asked.append(time) or images(self, x, time, *rest)
    )
    pixels = np.array([7, 200, 30])
    together = method.classify(pixels)
    assert torch.equal(asked[0], times[torch.from_numpy(pixels)])
    np.testing.assert_allclose(method.classify(pixels[::-1].copy()), together[::-1], rtol=0, atol=1e-5)
    plain = make_method(pretrain="none")
    assert times_of(method.task, plain.options) is None


def test_same_class_negatives_trains_with_the_loss_of_single_samples(make_method, draw_task, monkeypatch):
    assert finetuning._loss(make_method().options) is contrastive_loss
    assert finetuning._loss(make_method(reference_quirks=["same_class_negatives"]).options) is instance_loss
    found = []
    for quirks in ((), ("same_class_negatives",)):
        options = make_method(reference_quirks=quirks, pretrain="none", batch=32, epochs=2).options
        found.append(finetune(draw_task(shots=8), options)[0].head.weight)
    assert not torch.equal(*found)


def test_warm_logit_scale_starts_at_a_temperature_of_0_7_and_has_no_bound(make_method, draw_task):
    method = make_method(reference_quirks=["warm_logit_scale"], pretrain="none", epochs=0)
    model, _, _ = finetune(draw_task(), method.options)
    assert model.scale().item() == pytest.approx(1 / 0.7)
    torch.nn.init.constant_(model.scale.weight, math.log(500.0))
    vectors = torch.randn(4, 16)
    torch.testing.assert_close(model.logits(vectors, vectors).diagonal(), torch.full((4,), 500.0))


def test_tiny_head_starts_with_tiny_weights_and_a_bias(make_method, draw_task):
    sizes = []
    for quirks in ((), ("tiny_head",)):
        options = make_method(reference_quirks=quirks, pretrain="none", epochs=0, embedding=64).options
        head = finetune(draw_task(), options)[0].head
        sizes.append((head.weight.std().item(), head.bias.abs().max().item()))
    assert sizes[0][0] > 0.05 and sizes[0][1] == 0
    assert sizes[1][0] == pytest.approx(2e-5, rel=0.1)
    # Linear layers start with biases within one over the root of their inputs, 2 x 16 here.
    assert 0.8 * 32**-0.5 < sizes[1][1] <= 32**-0.5


def test_validation_picks_checkpoint_returns_the_first_of_the_best_epochs(make_method, draw_task, scene, monkeypatch):
    seen = []
    see = finetuning.Picked.see

    def noted(self, model, inputs, windows):
        see(self, model, inputs, windows)
        seen.append((self._best, {name: value.clone() for name, value in model.state_dict().items()}))

    monkeypatch.setattr(finetuning.Picked, "see", noted)
    task = with_validation(draw_task(), scene)
    # Steps so large that the accuracy goes up and down.
    options = {"pretrain": "none", "epochs": 12, "lr": 0.05}
    method = make_method(reference_quirks=["validation_picks_checkpoint"], **options)
    method.train(task)
    best = max(accuracy for accuracy, _ in seen)
    first = next(place for place, (accuracy, _) in enumerate(seen) if accuracy == best)
    assert first < len(seen) - 1, "another epoch than the last is best, or this test shows nothing"
    assert all(torch.equal(value, seen[first][1][name]) for name, value in method.model.state_dict().items())
    found = task.classes[method.classify(task.validation_pixels).argmax(axis=1)]
    assert (found == task.validation_labels).mean() == best
    last = make_method(**options)
    last.train(task)
    assert torch.equal(last.model.head.weight, seen[-1][1]["head.weight"])


def test_a_picked_checkpoint_and_averaged_weights_exclude_each_other(make_method):
    with pytest.raises(ValueError, match="validation_picks_checkpoint and weight_average, expected one way"):
        make_method(reference_quirks=["validation_picks_checkpoint"], weight_average=0.9)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_epochs_are_picked_by_the_texts_that_are_tested(make_method, draw_task, scene, monkeypatch, precision):
    compared = []
    scored = picking.scores
    monkeypatch.setattr(
        picking, "scores", lambda model, texts, *rest: compared.append(texts) or scored(model, texts, *rest)
    )
    options = {"pretrain": "none", "epochs": 1, "precision": precision}
    method = make_method(reference_quirks=["validation_picks_checkpoint"], **options)
    method.train(with_validation(draw_task(), scene))
    assert torch.equal(compared[-1], method.texts)


def test_picking_a_checkpoint_needs_validation_pixels(make_method, draw_task):
    method = make_method(reference_quirks=["validation_picks_checkpoint"], pretrain="none")
    assert (method.uses_validation, method.tests_on_validation) == (True, False)
    with pytest.raises(UserError, match=r"task\.validation_pixels: found none, expected those of protocol paper"):
        method.train(draw_task())


def test_testing_on_validation_pixels_needs_some(make_method):
    both = make_method(reference_quirks=["validation_picks_checkpoint", "validation_in_test"])
    assert (both.uses_validation, both.tests_on_validation) == (True, True)
    assert not make_method().uses_validation
    with pytest.raises(ValueError, match="validation_in_test, expected validation_picks_checkpoint beside it"):
        make_method(reference_quirks=["validation_in_test"])

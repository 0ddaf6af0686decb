"""Each choice of `tuned` does what it says; its variants turn one each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.layers import BatchNorm
from diffclip.model.masking import kept_tokens, showing
from diffclip.protocol.catalogue import make_method as checked_method
from diffclip.protocol.method import SCENE_WIDE
from diffclip.scene.features import modality_profiles, morphological_profiles
from diffclip.training import finetuning
from diffclip.training.finetuning import finetune
from diffclip.training.inference import averaged, scores
from diffclip.training.optimisation import stage_2_optimiser
from diffclip.training.sampling import orders, viewer
from diffclip.training.variants import TUNED, VARIANTS
from diffclip.training.windows import SceneWindows


@pytest.fixture(scope="module")
def tuned(make_method):
    """Return `make(**options)`: the tuned variant in tiny sizes, without stage 1."""
    chosen = {name: value for name, value in TUNED.items() if not name.startswith("pretrain")}
    small = {"pretrain": "none", "decoder_depth": 1, "steps": 4, "batch": 6}
    return lambda **options: make_method(**(chosen | small | options))


@pytest.fixture(scope="module")
def windows_of(scene):
    return lambda profiles=False, modalities=("hsi", "aux"): SceneWindows(
        scene.imagery, "standard", 5, "cpu", modalities, profiles=profiles
    )


@pytest.fixture(scope="module")
def untrained(draw_task):
    """Return `make(method)`: its model before stage 2, in evaluation mode."""
    return lambda method: finetuning.start(draw_task(), method.options).model.eval()


def test_every_tuned_variant_but_tuned_itself_changes_tuned_and_only_what_its_name_says():
    for name, options in VARIANTS.items():
        if name.startswith("tuned-"):
            changed = {key for key, value in options.items() if key not in TUNED or TUNED[key] != value}
            assert changed, name
            assert set(TUNED) <= set(options), name


def test_the_documentation_names_every_variant_and_every_option():
    text = (Path(__file__).parents[2] / "docs/method.md").read_text()
    assert [name for name in VARIANTS if f"`{name}`" not in text] == []
    assert [name for name in TUNED if f"`{name}" not in text] == []


def test_it_separates_an_easy_scene_everywhere(tuned, draw_task, scene):
    method = tuned(steps=60, lr=5e-3)
    method.train(draw_task())
    found = method.classify(np.arange(scene.imagery.n_pixels)).argmax(1) + 1
    assert (found == scene.labels.ravel()).mean() > 0.9


def test_profiles_follow_the_channels_of_the_modality_that_they_come_from(windows_of, scene):
    windows, plain = windows_of(profiles=True), windows_of()
    pixels = torch.tensor([0, 100, 255])
    whole, parts = morphological_profiles(scene.imagery), modality_profiles(scene.imagery)
    assert sum(part.shape[2] for part in parts.values()) == whole.shape[1]
    for found, own, count, name in zip(
        windows(pixels), plain(pixels), windows.profiles, windows.modalities, strict=True
    ):
        assert torch.equal(found[..., :-count], own)
        centre = found[:, 12, -count:]
        expected = parts[name].reshape(256, -1)[pixels.numpy()]
        np.testing.assert_array_equal(centre.numpy(), expected)
    assert windows.profiles == [45, 18]
    assert windows_of(profiles=True, modalities=("hsi",)).profiles == [45]


def _moves_with(model, windows, place, changed):
    """Return whether the embedding of the pixel at `place` of a window depends on the channels of `changed`."""
    first = [x.clone() for x in windows]
    second = [x.clone() for x in windows]
    for x in second:
        x[:, changed] += 1.0
    time, places = torch.zeros(1, dtype=torch.long), torch.tensor([[place]])
    one, two = (model.pixels(x, time, places) for x in (first, second))
    return not torch.equal(one, two)


@torch.no_grad()
def test_the_skip_adds_the_pixels_own_profiles_and_nothing_else(tuned, untrained, windows_of):
    model = untrained(tuned())
    torch.nn.init.zeros_(model.head.weight)
    found = windows_of(profiles=True)(torch.tensor([40]))
    assert _moves_with(model, found, place=3, changed=3)
    assert not _moves_with(model, found, place=3, changed=4)
    channels = [slice(None, -count) for count in model.skipped]
    bare = [x.clone() for x in found]
    for x, own in zip(bare, channels, strict=True):
        x[:, 3, own] += 1.0
    time, places = torch.zeros(1, dtype=torch.long), torch.tensor([[3]])
    assert torch.equal(model.pixels(bare, time, places), model.pixels(found, time, places))


@torch.no_grad()
@pytest.mark.parametrize(("readout", "inputs"), [("class", 32), ("pixel", 32), ("both", 64)])
def test_the_readout_takes_the_tokens_that_it_names(make_method, untrained, windows_of, readout, inputs):
    model, windows = untrained(make_method(pretrain="none", readout=readout)), windows_of()
    assert model.head.in_features == inputs
    encoded = model.encoder(windows(torch.tensor([70])), torch.tensor([0]))
    parts = []
    for tokens in encoded:
        parts += [tokens[:, 1 + 7]] if readout != "class" else []
        parts += [tokens[:, 0]] if readout != "pixel" else []
    expected = model.head(torch.cat(parts, -1))
    found = model.pixels(windows(torch.tensor([70])), torch.tensor([0]), torch.tensor([[7]]))
    torch.testing.assert_close(found[:, 0], expected)


def test_a_pixel_of_a_larger_token_is_read_from_it(make_method, draw_task):
    options = make_method(pretrain="none", readout="both", token_size=5, epochs=1).options
    model, _, _ = finetune(draw_task(), options)
    assert model.tokens_of(torch.arange(25)).tolist() == [0] * 25
    task = dataclasses.replace(draw_task(), study_window=9)
    model, _, _ = finetune(task, make_method(pretrain="none", readout="both", token_size=3, epochs=1).options)
    expected = np.arange(9).reshape(3, 3).repeat(3, axis=0).repeat(3, axis=1).ravel()
    assert model.tokens_of(torch.arange(81)).tolist() == expected.tolist()


def test_moved_windows_show_the_labelled_pixel_everywhere_and_their_centres_lie_in_the_scene(
    tuned, draw_task, windows_of, scene
):
    view_of = viewer(draw_task(), windows_of(), tuned(token_drop=0.0).options, lambda places: places)
    pixels = torch.tensor([0, 15, 100, 255]).repeat(200)
    view = view_of(pixels)
    assert view.kept is None
    assert sorted(view.places[pixels == 100].unique().tolist()) == list(range(25))
    values = windows_of()(view.centres)[0][torch.arange(len(pixels)), view.places]
    np.testing.assert_array_equal(values, scene.imagery.scaled()[0].reshape(256, -1)[pixels])


def test_windows_that_are_not_moved_show_the_pixel_in_their_centre(make_method, draw_task, windows_of):
    view = viewer(draw_task(), windows_of(), make_method().options, lambda places: places)(torch.arange(256))
    assert torch.equal(view.centres, torch.arange(256))
    assert set(view.places.tolist()) == {12}


def test_token_drop_keeps_the_pixels_own_token_first_and_so_many_others(tuned, draw_task, windows_of):
    view = viewer(draw_task(), windows_of(), tuned(token_drop=0.6).options, lambda places: places)(torch.arange(256))
    assert len(view.kept) == 2
    for seen in view.kept:
        assert seen.index.shape == (256, 10)
        assert torch.equal(seen.index[:, 0], view.places)
        assert not seen.hidden.gather(1, view.places[:, None]).any()
    assert not torch.equal(view.kept[0].index, view.kept[1].index)


@torch.no_grad()
def test_hiding_no_token_changes_no_embedding(tuned, untrained, windows_of):
    model, windows = untrained(tuned()), windows_of(profiles=True)
    pixels, time, places = torch.arange(20, 30), torch.zeros(10, dtype=torch.long), 2 * torch.arange(10)
    kept = [kept_tokens(showing(torch.rand(10, 25), places), 0.0) for _ in windows.channels]
    found = model.pixels(windows(pixels), time, places[:, None], kept)
    torch.testing.assert_close(found, model.pixels(windows(pixels), time, places[:, None]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("batch", "expected"), [(6, [2, 2, 2]), (7, [2, 2, 3]), (2, [0, 1, 1])])
def test_balanced_batches_hold_as_many_windows_of_each_class(make_method, draw_task, batch, expected):
    task = dataclasses.replace(draw_task(), train_labels=np.array([1] * 10 + [2, 3], dtype=np.int16))
    epoch = next(orders(task, make_method(balanced=True, batch=batch).options))
    assert len(epoch) == -(-12 // batch)
    for found in epoch:
        assert sorted(np.bincount(task.train_targets[found.numpy()], minlength=3)) == expected


def test_learning_rates_fall_by_the_layer_decay_from_the_head_to_the_stems(tuned, draw_task):
    options = tuned(depth=2, layer_decay=0.5, lr=1.0, steps=10).options
    model, _, _ = finetune(draw_task(), options)
    optimiser, _ = stage_2_optimiser(model, options, 10, 1)
    rate = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert len(rate) == len(named)
    expected = {
        "head.weight": 1.0,
        "skip.weight": 1.0,
        "scale.weight": 1.0,
        "encoder.norm.weight": 1.0,
        "encoder.blocks.1.norm1.weight": 0.5,
        "encoder.blocks.0.norm1.weight": 0.25,
        "encoder.modalities.1.stem.0.weight": 0.125,
    }
    assert {name: rate[id(named[name])] for name in expected} == expected


def test_the_learning_rate_follows_a_cosine_to_zero(tuned, draw_task, learning_rates):
    finetune(draw_task(), tuned(steps=4, lr=1.0, layer_decay=1.0, weight_average=0.0).options)
    assert learning_rates == pytest.approx([(1 + np.cos(np.pi * step / 4)) / 2 for step in range(4)])


def test_the_running_average_of_the_weights_is_what_is_tested(tuned, draw_task, monkeypatch):
    seen = []
    learn = torch.optim.AdamW.step

    def noted(self, *args, **kwargs):
        done = learn(self, *args, **kwargs)
        seen.append(self.param_groups[0]["params"][0].detach().clone())
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    options = tuned(steps=3, lr=0.1, weight_average=0.5).options
    model, _, _ = finetune(draw_task(), options)
    optimiser, _ = stage_2_optimiser(model, options, 3, 1)
    expected = 0.5 * (0.5 * seen[0] + 0.5 * seen[1]) + 0.5 * seen[2]
    torch.testing.assert_close(optimiser.param_groups[0]["params"][0].detach(), expected)


def test_a_frozen_encoder_stays_as_it_was_with_its_statistics(tuned, draw_task):
    options = tuned(frozen_encoder=True).options
    begun = finetuning.start(draw_task(), options)
    before = {name: value.clone() for name, value in begun.model.state_dict().items()}
    model, _, _ = finetuning.trained(begun, draw_task(), options)
    changed = {
        name.partition(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"head", "skip", "scale", "text_tower"}


@pytest.mark.parametrize("used", [{"frozen_encoder": True}, {"graph": True}], ids=["frozen", "graph"])
def test_an_untrained_encoder_that_is_used_as_it_is_has_seen_the_scales_of_the_scene(tuned, draw_task, used):
    task = draw_task()
    method = tuned(pretrain="none", **used)
    begun = finetuning.start(task, method.options)
    everywhere = torch.arange(256)
    with torch.no_grad():
        for embed, pixels in zip(begun.model.encoder.modalities, begun.windows.at(everywhere), strict=True):
            first, norm, *_ = embed.stem
            torch.testing.assert_close(norm.running_mean, first(pixels).mean(0), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(norm.running_var, first(pixels).var(0), rtol=1e-4, atol=1e-5)
            assert {layer.momentum for layer in embed.stem if isinstance(layer, BatchNorm)} == {0.1}
    fine_tuned = finetuning.start(task, tuned(pretrain="none").options).model
    assert not fine_tuned.encoder.modalities[0].stem[1].running_mean.any()
    for ours, theirs in zip(begun.model.parameters(), fine_tuned.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    # Pixels without labels were looked at.
    assert method.transductive
    assert not tuned(pretrain="none").transductive
    assert not tuned(pretrain="labelled", frozen_encoder=True).transductive


def test_averages_are_means_over_the_grids_windows_that_hold_a_pixel(windows_of):
    windows = windows_of()
    asked = np.array([0, 255, 37, 37, 128])

    def of_windows(centres):
        # Tells the centre's position and the place in the window.
        return torch.stack([centres[:, None].expand(-1, 25), torch.arange(25).expand(len(centres), -1)], -1).float()

    found = averaged(of_windows, windows, asked, 3, "cpu")
    for row, pixel in zip(found, asked, strict=True):
        r, c = divmod(int(pixel), 16)
        told = [
            (cr * 16 + cc, (r - cr + 2) * 5 + c - cc + 2)
            for cr in range(0, 16, 3)
            for cc in range(0, 16, 3)
            if abs(cr - r) <= 2 and abs(cc - c) <= 2
        ]
        np.testing.assert_allclose(row, np.mean(told, axis=0), rtol=1e-6)


def test_a_grid_of_spacing_1_averages_the_scores_of_all_windows_around_a_pixel(tuned, draw_task):
    model, texts, windows = finetune(draw_task(), tuned().options)
    found = scores(model, texts, windows, np.array([100]), "cpu", stride=1)
    r, c = divmod(100, 16)
    with torch.no_grad():
        each = []
        for row in range(r - 2, r + 3):
            for column in range(c - 2, c + 3):
                place = torch.tensor([[(r - row + 2) * 5 + c - column + 2]])
                centre = torch.tensor([row * 16 + column])
                each.append(model.logits(model.pixels(windows(centre), torch.tensor([0]), place)[0], texts))
    np.testing.assert_allclose(found[0], torch.cat(each).mean(0), rtol=1e-4, atol=1e-4)


def test_its_windows_reach_twice_as_far_and_its_profiles_over_the_scene(tuned, make_method):
    assert (tuned().reach(11), tuned().window_reach(11)) == (SCENE_WIDE, 10)
    still = tuned(moved_windows=False, stride=0)
    assert (still.reach(11), still.window_reach(11)) == (SCENE_WIDE, 5)
    assert tuned(profiles=False, profile_skip=False).reach(11) == 10
    assert (make_method().reach(11), make_method().window_reach(11)) == (5, 5)


def test_windows_too_small_for_the_grid_are_refused_before_anything_runs(tuned):
    tuned().check(5)
    with pytest.raises(UserError, match="stride: found 3, expected at most 2, so that a window of 3 holds every pixel"):
        tuned().check(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"moved_windows": True}, "found moved_windows and readout class, expected pixel or both"),
        ({"stride": 3}, "found stride and no moved_windows, expected both"),
        ({"profile_skip": True}, "found profile_skip and no profiles, expected both"),
        ({"graph": True}, "found graph and no stride, expected a stride"),
        ({"token_drop": 1.0}, "found token_drop 1.0, expected 0 <= share < 1"),
        ({"layer_decay": 0.0}, "found layer_decay 0.0, expected 0 < factor <= 1"),
        ({"weight_average": 1.0}, "found weight_average 1.0, expected 0 <= decay < 1"),
        ({"time_limit": 1001}, "found time_limit 1001, expected 1 to diffusion_steps, 1000"),
        ({"graph_alpha": 1.0}, "found graph_alpha 1.0, expected 0 < alpha < 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        checked_method("diffclip", "x", options)

"""What is shown of the two stages is what they did: hidden tokens, noise, errors, features."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.scene.scene import Scene, SceneInfo
from diffclip.steps import inspect_run
from diffclip.study.cells import Cell
from diffclip.training.inspection import features, for_display, inspect, reconstruct
from diffclip.training.pretraining import pretrain
from diffclip.training.variants import TUNED
from tests.training.conftest import MASK_RATIO, SIDE, TINY, WINDOW

TIMES = (0, 300, 900)
FEATURES = ("features_before", "features_stage_1", "features_stage_2")


@pytest.fixture
def shown(scene, stage_1, checkpoint):
    """Return `shown(seed=0, **more)`: what is reconstructed at three time steps."""

    def make(seed=0, **more):
        return reconstruct(scene.imagery, stage_1(), checkpoint, times=TIMES, seed=seed, device="cpu", **more)

    return make


def tiles(image):
    """Cut (S, S, ...) into (windows, window ** 2, ...)."""
    count = len(image) // WINDOW
    cut = image.reshape(count, WINDOW, count, WINDOW, *image.shape[2:]).swapaxes(1, 2)
    return cut.reshape(count**2, WINDOW**2, *image.shape[2:])


def test_the_input_is_the_scene_at_the_corner_told(shown, scene):
    found = shown()
    side = SIDE // WINDOW * WINDOW
    row, column = found["corner"]
    for name, raster in zip(("hsi", "aux"), scene.imagery.scaled(), strict=True):
        expected = raster[row : row + side, column : column + side]
        np.testing.assert_array_equal(found[f"{name}_input"], expected)


def test_every_window_and_modality_hides_its_own_share(shown):
    found = shown()
    for name in ("hsi", "aux"):
        counts = tiles(found[f"{name}_hidden"]).sum(axis=1)
        assert set(counts.tolist()) == {round(WINDOW**2 * MASK_RATIO)}
    assert not np.array_equal(found["hsi_hidden"], found["aux_hidden"])


def test_tokens_called_hidden_decide_nothing_and_those_called_visible_do(shown, monkeypatch):
    before = shown()
    encode = torch.nn.Module.__call__
    hidden = {name: torch.from_numpy(tiles(before[f"{name}_hidden"])) for name in ("hsi", "aux")}

    def spoilt(which):
        def call(self, *args, **kwargs):
            if type(self).__name__ == "Encoder":
                windows = [
                    pixels + 5.0 * (where if which == "hidden" else ~where)[..., None]
                    for pixels, where in zip(args[0], hidden.values(), strict=True)
                ]
                args = (windows, *args[1:])
            return encode(self, *args, **kwargs)

        return call

    for which, same in (("hidden", True), ("visible", False)):
        monkeypatch.setattr(torch.nn.Module, "__call__", spoilt(which))
        after = shown()
        assert np.array_equal(after["hsi_reconstructed"], before["hsi_reconstructed"]) == same


def test_noise_grows_from_next_to_nothing_at_time_0(shown):
    found = shown()
    for name in ("hsi", "aux"):
        distances = np.abs(found[f"{name}_noised"] - found[f"{name}_input"]).mean(axis=(1, 2, 3))
        # At t = 0 the schedule's noise has a deviation of 0.01.
        assert distances[0] < 0.02
        assert distances[0] < 0.1 * distances[1] < distances[2]


def test_without_diffusion_there_is_one_time_step_and_no_noise(scene, stage_1, checkpoint):
    settings = stage_1(diffusion=False)
    found = reconstruct(scene.imagery, settings, checkpoint, seed=0, device="cpu")
    assert found["times"].tolist() == [0]
    np.testing.assert_array_equal(found["hsi_noised"][0], found["hsi_input"])


def test_where_nothing_is_hidden_there_is_no_error_of_hidden_tokens(scene, stage_1, checkpoint):
    found = reconstruct(scene.imagery, stage_1(masking=False), checkpoint, times=TIMES, seed=0, device="cpu")
    assert not found["hsi_hidden"].any()
    assert np.isnan(found["mse_hidden"]).all()
    assert np.isfinite(found["mse_visible"]).all()


def test_unscaled_values_keep_the_precision_that_holds_them(scene, make_method, draw_task, stage_1, checkpoint):
    loud = Scene("loud", 1e6 + scene.hsi, scene.aux, scene.labels, scene.class_names, scene.info)
    task = dataclasses.replace(draw_task(pretrained=checkpoint), scene=loud.imagery)
    found = inspect(make_method(scaling="none"), task, stage_1(scaling="none"), np.arange(5))
    assert np.isfinite(found["hsi_input"]).all()
    assert found["hsi_input"].min() > 9e5
    assert found["aux_input"].dtype == np.float16


def test_the_errors_told_are_those_of_the_arrays(shown):
    found = shown()
    for place, name in enumerate(("hsi", "aux")):
        for at in range(len(TIMES)):
            squares = (found[f"{name}_reconstructed"][at] - found[f"{name}_input"]) ** 2
            hidden = found[f"{name}_hidden"]
            assert found["mse_hidden"][at, place] == pytest.approx(squares[hidden].mean(), rel=1e-5)
            assert found["mse_visible"][at, place] == pytest.approx(squares[~hidden].mean(), rel=1e-5)


def test_the_same_seed_shows_the_same_and_another_hides_other_tokens(shown):
    first, again, other = shown(), shown(), shown(seed=1)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["hsi_hidden"], other["hsi_hidden"])


def test_pictures_keep_false_colour_and_the_first_raster(shown, scene):
    imagery = Scene(
        "tiny", scene.hsi, scene.aux, scene.labels, scene.class_names, SceneInfo("Tiny", True, false_colour=(4, 2, 0))
    ).imagery
    found = shown()
    kept = for_display(imagery, "standard", found)
    np.testing.assert_array_equal(kept["hsi_reconstructed"], found["hsi_reconstructed"][..., [4, 2, 0]])
    np.testing.assert_array_equal(kept["aux_noised"], found["aux_noised"][..., :1])
    assert (kept["hsi_limits"][0] < kept["hsi_limits"][1]).all()


def test_a_tuned_run_shows_time_steps_that_it_knows_and_no_profiles(scene, make_method, draw_task, tmp_path):
    chosen = {name: value for name, value in TUNED.items() if not name.startswith("pretrain")} | {"steps": 2}
    method = make_method(**chosen)
    settings, path = method.pretraining(WINDOW, MASK_RATIO).settings, tmp_path / "seed-0.safetensors"
    pretrain(scene.imagery, settings, seed=0, device="cpu", path=path)
    found = inspect(method, draw_task(pretrained=path), settings, np.arange(60))
    assert found["times"].tolist() == [0, 30, 90, 210]
    assert [found[f"{name}_reconstructed"].shape[-1] for name in found["modalities"]] == [3, 1]
    assert found["features_stage_2"].shape == (60, 32)


def test_features_differ_between_stages_and_belong_to_their_pixels(make_method, draw_task, stage_1, checkpoint):
    pixels = np.array([3, 200, 77, 31])
    task = draw_task(pretrained=checkpoint)
    found = features(make_method(), task, stage_1(), pixels)
    turned = features(make_method(), task, stage_1(), pixels[::-1].copy())
    assert list(found) == list(FEATURES)
    for name in FEATURES:
        assert found[name].shape == (4, 2 * TINY["width"])
        np.testing.assert_allclose(found[name], turned[name][::-1], atol=1e-5)
    for one, other in itertools.combinations(FEATURES, 2):
        assert np.abs(found[one] - found[other]).max() > 1e-3


def test_an_inspection_holds_half_precision_numbers(make_method, draw_task, stage_1, checkpoint):
    found = inspect(make_method(), draw_task(pretrained=checkpoint), stage_1(), np.arange(5))
    assert {found[key].dtype.name for key in (*FEATURES, "hsi_noised")} == {"float16"}
    assert found["features_none"].shape == (5, 6 + 2)


def test_features_are_placed_on_a_plane_and_alike_every_time(make_method, draw_task, stage_1, checkpoint):
    one, other = (inspect(make_method(), draw_task(pretrained=checkpoint), stage_1(), np.arange(12)) for _ in range(2))
    assert one["perplexity"] == 3
    for name in ("before", "stage_1", "stage_2"):
        assert one[f"tsne_{name}"].shape == (12, 2)
        assert np.isfinite(one[f"tsne_{name}"]).all()
        np.testing.assert_array_equal(one[f"tsne_{name}"], other[f"tsne_{name}"])


def test_an_inspected_run_names_itself_and_its_pixels_are_test_pixels_of_every_class(tmp_path: Path):
    card = tmp_path / "toy.yaml"
    card.write_text("title: Toy\nsimulate: {seed: 3, height: 48, width: 48, bands: 8}\n")
    cell = Cell("toy", "paper", "diffclip", "tiny", 2, 5, 0.6)
    path = inspect_run(cell, 1, tmp_path, options=TINY, margin=5, card=str(card), on_small_class="skip")
    assert path.stat().st_size < 2e6
    with np.load(path) as found:
        identity = json.loads(str(found["identity"]))
        pixels, labels = found["pixels"], found["labels"]
        assert len(found["features_stage_2"]) == len(pixels)
        scene, _, name = str(found["checkpoint"]).partition("/")
    assert (identity["variant"], identity["seed"], identity["window"]) == ("tiny", 1, 5)
    assert (tmp_path / "pretrained" / scene / name / "seed-1.safetensors").is_file()
    truth = np.load(tmp_path / "scenes/toy/labels.npy").ravel()
    np.testing.assert_array_equal(truth[pixels], labels)
    with np.load(tmp_path / "splits/toy/paper/shots-2/seed-1.npz") as split:
        assert not np.isin(pixels, split["train"]).any()
        assert set(labels.tolist()) == set(truth[split["test"]].tolist())


@pytest.mark.parametrize(("method", "options"), [("nearest_mean", {}), ("diffclip", {"pretrain": "none"})])
def test_a_method_without_pretraining_is_refused(tmp_path: Path, method, options):
    cell = Cell("simulated", "paper", method, "mine", 2, 5)
    with pytest.raises(UserError, match=f"method {method}, variant mine: has no pretraining to inspect"):
        inspect_run(cell, 0, tmp_path, options=options or {"use_aux": False}, margin=5)
    assert not list(tmp_path.iterdir())

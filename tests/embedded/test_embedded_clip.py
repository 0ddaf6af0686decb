"""The embedded CLIP is trained once, saved as open_clip does, and loaded like any other weights."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from diffclip.embedded.captions import caption
from diffclip.embedded.pairs import Pairs
from diffclip.embedded.recipe import Recipe, simulation
from diffclip.embedded.store import find_embedded_clip, log_in, make_embedded_clip, measured_in, refuse_seen
from diffclip.embedded.training import contrastive_loss
from diffclip.errors import UserError
from diffclip.language.clip import clip_embeddings, load_clip
from diffclip.language.weights import located, weights_name
from diffclip.scene.card import load_card
from diffclip.scene.simulation import simulate
from diffclip.scene.simulation.classes import LAND_COVER

TINY = Recipe(scenes=(90_001, 90_002), side=64, steps=12, batch=64, warm_up=2, checked_pixels=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an embedded CLIP that was hardly trained."""
    folder = tmp_path_factory.mktemp("embedded")
    make_embedded_clip(folder, device="cpu", recipe=TINY)
    return folder


def test_it_is_loaded_by_open_clip_alone_and_through_the_same_path_as_other_weights(folder):
    import open_clip

    model = open_clip.create_model(f"local-dir:{folder}").eval().requires_grad_(False)
    expected = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of a tree."]))
    found = clip_embeddings(["a photo of a tree."], "ViT-B-32", located("embedded", folder), seed=0)
    assert torch.equal(found, expected)
    assert load_clip("ViT-B-32", str(folder), seed=0).side == 32


def test_its_name_is_embedded_also_of_a_copy_with_another_name(folder, tmp_path):
    assert weights_name("ViT-B-32", "embedded") == "embedded"
    copy = shutil.copytree(folder, tmp_path / "mine")
    assert weights_name("ViT-B-32", str(copy)).startswith("embedded (")
    config = copy / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embedded"', '"another"'))
    assert weights_name("ViT-B-32", str(copy)).startswith("mine (")
    with pytest.raises(UserError, match="found embedded and no embedded CLIP in the task"):
        located("embedded", None)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"found no open_clip_config\.json"):
        load_clip("ViT-B-32", str(tmp_path), seed=0)


def test_it_is_made_once_and_again_when_the_recipe_changes_or_a_file_is_gone(folder):
    assert find_embedded_clip(folder, TINY) is not None
    before = log_in(folder).stat().st_mtime_ns
    make_embedded_clip(folder, device="cpu", recipe=TINY)
    assert log_in(folder).stat().st_mtime_ns == before
    assert find_embedded_clip(folder, dataclasses.replace(TINY, seed=1)) is None


def test_the_same_recipe_gives_the_same_weights(folder, tmp_path):
    again = make_embedded_clip(tmp_path, device="cpu", recipe=TINY)
    assert again.sha256 == find_embedded_clip(folder, TINY).sha256
    assert measured_in(tmp_path) == measured_in(folder)


def test_its_log_holds_zero_shot_accuracy_against_chance(folder):
    found = json.loads(log_in(folder).read_text())["measured"]["zero_shot"]
    assert found["chance"] == 10
    assert found["scene_seed"] not in TINY.scenes
    assert found["accuracy"] == pytest.approx(np.mean(list(found["per_class"].values())), abs=0.01)


def test_a_batch_pairs_each_window_with_a_caption_and_a_class():
    scenes = [simulate(simulation(TINY, seed)) for seed in TINY.scenes]
    pairs = Pairs(scenes, (5, 9), np.random.default_rng(0))
    batch = pairs.batch(40)
    assert batch.windows.shape[0] == len(batch.captions) == len(batch.labels) == 40
    assert 0 <= batch.windows.min() <= batch.windows.max() <= 1


def test_captions_name_the_class_or_say_what_it_looks_like():
    draw = np.random.default_rng(0)
    said = {caption(3, [5], draw) for _ in range(60)}
    assert any("trees next to road" in text for text in said)
    assert LAND_COVER[2].description in said
    assert not any("{" in text for text in said)


def test_texts_of_the_same_class_are_no_mistakes():
    images = torch.nn.functional.one_hot(torch.tensor([0, 0, 1])).float()
    labels, scale = torch.tensor([4, 4, 7]), torch.tensor(3.0)
    right = contrastive_loss(images, images, labels, scale)
    # Of three pairs two are alike: half the target each, so the loss is the entropy of that.
    assert float(right) == pytest.approx(2 / 3 * np.log(2), abs=1e-3)
    assert contrastive_loss(images, images.flip(0), labels, scale) > 5


def test_a_scene_that_it_learned_from_is_refused(tmp_path):
    path = tmp_path / "seen.yaml"
    path.write_text("title: Seen\nsimulate: {seed: 90003}\n")
    with pytest.raises(UserError, match=r"seen\.yaml: simulate\.seed: found 90003, whose scene the embedded CLIP"):
        refuse_seen(load_card(str(path)))
    path.write_text("title: Fresh\nsimulate: {seed: 0}\n")
    refuse_seen(load_card(str(path)))

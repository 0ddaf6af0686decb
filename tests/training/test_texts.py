"""The text side of stage 2: towers, prompts, and the head that does without."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diffclip.errors import UserError
from diffclip.language.clip import clip_embeddings
from diffclip.language.embeddings import write_embeddings
from diffclip.language.prompts import class_prompts
from diffclip.language.tokenizer import tokenize
from diffclip.language.tower import TextTower, mean_embedding
from diffclip.protocol.catalogue import make_method as checked_method
from diffclip.randomness import seeded_torch
from diffclip.training.texts import class_texts

NAMES = ("asphalt", "tree", "roof")


@pytest.fixture
def options(make_method, tiny_clip):
    """Return `make(**options)`: tiny options without stage 1, with the tiny CLIP's name."""
    return lambda **changed: make_method(pretrain="none", clip_model=tiny_clip, **changed).options


@pytest.fixture
def task(draw_task):
    return dataclasses.replace(draw_task(), class_descriptions=("dark", "high and green", "flat and bright"))


def _embeddings(task, options):
    with seeded_torch(1, "here"):
        inputs, tower = class_texts(task, options)
    return tower(inputs).detach()


def test_one_prompt_set_is_encoded_by_the_bare_tower(task, options):
    tokens = tokenize(class_prompts("p2", NAMES))
    with seeded_torch(1, "here"):
        expected = TextTower(len(tokens.vocabulary), 16, 1, 2, 16)(tokens.ids)
    assert torch.equal(_embeddings(task, options(prompts=("p2",))), expected)


def test_several_sets_are_the_mean_of_normalised_embeddings(task, options):
    sets = ("p1", "p3", "descriptions")
    with seeded_torch(1, "here"):
        inputs, ensemble = class_texts(task, options(prompts=sets))
    rows = nn.functional.normalize(ensemble.tower(inputs), dim=-1)
    torch.testing.assert_close(ensemble(inputs), (rows[0:3] + rows[3:6] + rows[6:9]) / 3)
    texts = [text for chosen in sets for text in class_prompts(chosen, NAMES, task.class_descriptions)]
    assert torch.equal(inputs, tokenize(texts).ids)


@pytest.mark.parametrize("prompts", [("p1",), ("p1", "descriptions")])
def test_clips_embeddings_are_normalised_averaged_and_projected(task, options, tiny_clip, prompts):
    inputs, tower = class_texts(task, options(text_tower="clip", clip_weights="random", prompts=prompts))
    texts = [text for chosen in prompts for text in class_prompts(chosen, NAMES, task.class_descriptions)]
    rows = nn.functional.normalize(clip_embeddings(texts, tiny_clip, "random", task.seed), dim=-1)
    torch.testing.assert_close(inputs, rows.view(len(prompts), 3, 32).mean(0))
    assert not inputs.requires_grad
    assert [tuple(weight.shape) for weight in tower.parameters()] == [(16, 32)]
    torch.testing.assert_close(tower(inputs), inputs @ tower.weight.T)


def test_a_file_of_the_same_embeddings_gives_the_same_scores(task, make_method, tiny_clip, tiny_weights, tmp_path):
    weights = str(tiny_weights["safetensors"])
    found = mean_embedding(clip_embeddings(class_prompts("p1", NAMES), tiny_clip, weights, seed=9), 1)
    order = [2, 0, 1]
    write_embeddings(tmp_path / "texts.npz", [NAMES[k] for k in order], found.numpy()[order], "some", ["p1"])
    scores = []
    for options in (
        {"text_tower": "clip", "clip_model": tiny_clip, "clip_weights": weights},
        {"text_tower": "file", "text_file": str(tmp_path / "texts.npz")},
    ):
        method = make_method(pretrain="none", **options)
        method.train(task)
        scores.append(method.classify(np.arange(50)))
    np.testing.assert_array_equal(*scores)


def test_only_the_projection_of_a_frozen_tower_is_trained(task, make_method, tiny_clip, global_draws):
    method = make_method(pretrain="none", text_tower="clip", clip_model=tiny_clip, clip_weights="random")
    before = global_draws()
    method.train(task)
    assert global_draws() == before
    assert sum(weight.numel() for weight in method.model.text_tower.parameters()) == 16 * 32
    with torch.no_grad():
        method.model.scale.weight.fill_(9.0)
    assert method.model.logits(method.texts, method.texts).max().item() == pytest.approx(100.0)


def test_weights_that_cannot_be_had_fail_the_run_as_the_users_error(task, make_method, tiny_clip, tmp_path):
    absent = str(tmp_path / "absent.pt")
    method = make_method(pretrain="none", text_tower="clip", clip_model=tiny_clip, clip_weights=absent)
    with pytest.raises(UserError, match=r"absent\.pt: no such file; .*clip_weights: random"):
        method.train(task)


def test_a_file_without_one_of_the_classes_is_refused(task, options, tmp_path):
    write_embeddings(tmp_path / "texts.npz", NAMES[:2], np.eye(2, 4), "some", ["p1"])
    with pytest.raises(UserError, match=r"texts\.npz: names: found asphalt, tree; expected 'roof' as well"):
        class_texts(task, options(text_tower="file", text_file=str(tmp_path / "texts.npz")))


def test_weights_are_named_before_anything_is_fitted(make_method, tiny_weights, tmp_path):
    path = str(tiny_weights["pt"])
    write_embeddings(tmp_path / "texts.npz", NAMES, np.eye(3), "ViT-B-32/openai", ["p1"])
    named = {
        "none": {},
        "random": {"text_tower": "clip", "clip_weights": "random"},
        "ViT-B-32/openai": {"text_tower": "clip"},
        "tiny.pt (": {"text_tower": "clip", "clip_weights": path},
        "file: ViT-B-32/openai (": {"text_tower": "file", "text_file": str(tmp_path / "texts.npz")},
    }
    for expected, changed in named.items():
        assert make_method(**changed).clip_weights.startswith(expected)
    assert make_method(head="linear", text_tower="clip", clip_weights=path).clip_weights == "none"


def test_texts_that_are_cut_are_warned_of(task, options, caplog):
    long = dataclasses.replace(task, class_descriptions=("dark", "very " * 100 + "green", "flat"))
    class_texts(long, options(prompts=("p1", "descriptions")))
    assert "class 'tree': 26 of 103 tokens of its text are cut" in caplog.text


def test_a_linear_head_reads_no_text_and_learns_without_temperature(make_method, draw_task, monkeypatch):
    def refuse(*args):
        raise AssertionError("a text was asked for")

    monkeypatch.setattr("diffclip.training.texts.all_prompts", refuse)
    method, task = make_method(pretrain="none", head="linear", epochs=60, lr=1e-3), draw_task()
    method.train(task)
    assert (method.classify(task.train_pixels).argmax(1) == task.train_targets).all()
    assert method.model.scale is None
    pixels = torch.from_numpy(task.train_pixels)
    with torch.no_grad():
        images = method.model.images(method.windows(pixels), torch.zeros_like(pixels))
    np.testing.assert_allclose(method.classify(task.train_pixels), images @ method.texts.T, rtol=1e-5, atol=1e-5)


def test_a_linear_head_is_trained_by_cross_entropy(make_method, draw_task, monkeypatch):
    losses = []

    def noted(logits, targets):
        losses.append((logits.detach(), targets))
        return nn.functional.cross_entropy(logits, targets)

    monkeypatch.setattr("diffclip.training.finetuning.cross_entropy", noted)
    make_method(pretrain="none", head="linear", epochs=2, batch=32).train(draw_task())
    assert [tuple(logits.shape) for logits, _ in losses] == [(12, 3), (12, 3)]


def test_one_prompt_set_needs_no_brackets():
    assert checked_method("diffclip", options={"prompts": "p2"}).options.prompts == ("p2",)
    assert checked_method("diffclip", options={"prompts": ["p2", "p1"]}).options.prompts == ("p2", "p1")
    assert checked_method("diffclip", "prompts-all").options.prompts == ("p1", "p2", "p3", "descriptions")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompts": []}, "prompts: found .*at least 1 item"),
        ({"prompts": ["p1", "description"]}, r"prompts\.1: found 'description'; .*did you mean 'descriptions'"),
        ({"text_tower": "clp"}, r"text_tower: found 'clp'; .*did you mean 'clip'"),
        ({"text_tower": "file"}, "found text_tower file and no text_file, expected the path of an .npz file"),
    ],
)
def test_wrong_options_are_refused(changed, message):
    with pytest.raises(UserError, match=message):
        checked_method("diffclip", options=changed)


def test_a_tower_from_scratch_does_not_import_open_clip():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np\n"
        "from diffclip.protocol.task import FewShotTask\n"
        "from diffclip.scene.scene import Imagery, SceneInfo\n"
        "from diffclip.training.method import DiffCLIPMethod as Method\n"
        "small = dict.fromkeys(('stem', 'width', 'embedding', 'text_width'), 16)\n"
        "small |= {'heads': 2, 'text_heads': 2, 'depth': 1, 'epochs': 1, 'pretrain': 'none'}\n"
        "draw = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)\n"
        "scene = Imagery('tiny', draw, draw[..., :1], SceneInfo('Tiny', True))\n"
        "labels = np.array([1, 2], dtype=np.int16)\n"
        "task = FewShotTask(scene, np.array([9, 36]), labels, labels, ('road', 'tree'), (), 1, 0, study_window=3)\n"
        "Method(Method.Options(**small)).train(task)\n"
        "print(*{'open_clip', 'torchvision', 'timm'} & set(sys.modules))"
    )
    root = str(Path(__file__).parents[2])
    found = subprocess.run([sys.executable, "-c", code, root], check=True, capture_output=True, text=True)
    assert found.stdout == "\n"

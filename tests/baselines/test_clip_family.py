"""The rivals around CLIP do what their papers say; their features are computed once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from baselines._clip.context import ContextPrompts, word_context
from baselines._clip.features import ImageFeatures, rotated_orders
from baselines._clip.lora import with_lora
from baselines._clip.models import Source
from baselines._clip.optimisation import coop_epochs, coop_rate, descend, sgd
from diffclip.errors import UserError
from diffclip.language.clip import load_clip
from diffclip.language.prompted import encode_tokens
from diffclip.protocol.catalogue import make_method

NAMES = ("tree", "parking lot", "buildings' shadow")


@pytest.fixture(scope="module")
def clip(tiny_clip):
    return load_clip(tiny_clip, "random", seed=0)


@pytest.fixture
def task(tiny_scene, draw_task):
    return draw_task(tiny_scene(), shots=2, window=5)


def made(name: str, tiny_clip: str, variant: str = "default", **options: Any) -> Any:
    return make_method(name, variant, {"clip_model": tiny_clip, "clip_weights": "random", **options})


def test_coop_with_the_words_own_embeddings_is_encode_text(clip):
    prompts = ContextPrompts(clip, NAMES, 4)
    found = prompts.encode(word_context(clip, "a photo of a"))
    expected = clip.text_embeddings([f"a photo of a {name}." for name in NAMES])
    torch.testing.assert_close(normalize(found, dim=-1), normalize(expected, dim=-1), rtol=0, atol=1e-6)
    each = prompts.encode_each(torch.stack([word_context(clip, "a photo of a"), torch.zeros(4, prompts.width)]))
    torch.testing.assert_close(each[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("position", "template"),
    [("middle", "a photo {} of a."), ("front", "{} a photo of a."), ("end", "a photo of a {}.")],
)
def test_the_class_name_stands_where_it_is_wanted(clip, position, template):
    prompts = ContextPrompts(clip, NAMES, 4, position)
    found = prompts.encode(word_context(clip, "a photo of a"))
    expected = clip.text_embeddings([template.format(name) for name in NAMES])
    torch.testing.assert_close(normalize(found, dim=-1), normalize(expected, dim=-1), rtol=0, atol=1e-6)


def test_class_specific_contexts_change_their_own_class_only(clip):
    prompts = ContextPrompts(clip, NAMES, 4)
    contexts = word_context(clip, "a photo of a").repeat(3, 1, 1)
    before = prompts.encode(contexts)
    contexts[1] = contexts[1].flip(-1)
    changed = (prompts.encode(contexts) - before).abs().amax(dim=1) > 1e-4
    assert changed.tolist() == [False, True, False]


def test_coops_schedule_starts_small_and_falls_by_half_a_cosine():
    rate = coop_rate(0.002, 100)
    assert rate(0) == 1e-5
    assert rate(1) == 0.002
    assert rate(51) == pytest.approx(0.001)
    assert [coop_epochs(shots) for shots in (1, 2, 4, 8, 16)] == [50, 100, 100, 200, 200]


def test_batches_come_from_all_passes_but_no_more_of_them_than_one_pass_fills(task):
    samples = len(task.train_pixels)
    seen = []

    def loss_of(rows):
        seen.append(rows)
        return weight.square().sum()

    weight = torch.ones(1, requires_grad=True)
    for batch, passes in ((4, 1), (4, 20), (256, 20)):
        descend(loss_of, sgd([weight]), lambda epoch: 0.1, task, batch=batch, epochs=1, name="here", passes=passes)
    sizes = [len(rows) for rows in seen]
    assert sizes == [4, 2, 4, 4, 20 * samples]
    assert sorted(torch.cat(seen[:2]).tolist()) == list(range(samples))
    assert torch.bincount(seen[-1]).tolist() == [20] * samples


def test_tip_adapter_is_its_formula(tiny_clip, task):
    tip = made("tip_adapter", tiny_clip, alpha=2.0, beta=3.0)
    tip.train(task)
    pixels = np.arange(50)
    turned = tip.features(task.train_pixels, 8).mean(dim=2)  # (8, n, D), averaged over views
    keys = normalize(turned.mean(dim=0), dim=-1)
    windows, scale = normalize(tip.features.mean(pixels), dim=-1), tip.clip.scale
    texts = normalize(
        tip.clip.text_embeddings([f"a centered satellite photo of {n}." for n in task.class_names]), dim=-1
    )
    expected = torch.zeros(50, 3)
    for i in range(50):
        for k in range(3):
            votes = sum(
                float(torch.exp(-3.0 * (1 - windows[i] @ keys[j]))) for j in range(6) if task.train_targets[j] == k
            )
            expected[i, k] = scale * windows[i] @ texts[k] + 2.0 * votes
    np.testing.assert_allclose(tip.classify(pixels), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_zero_shot_averages_normalised_prompts_and_needs_no_labels(tiny_clip, task):
    method = made("clip_zero_shot", tiny_clip)
    method.train(task)
    forms = [
        "a centered satellite photo of {}.",
        "a centered satellite photo of a {}.",
        "a centered satellite photo of the {}.",
    ]
    each = [normalize(method.clip.text_embeddings([f.format(n) for n in task.class_names]), dim=-1) for f in forms]
    texts = normalize(torch.stack(each).mean(dim=0), dim=-1)
    images = normalize(method.features.mean(np.arange(9)), dim=-1)
    np.testing.assert_allclose(
        method.classify(np.arange(9)), method.clip.scale * images @ texts.T, rtol=1e-4, atol=1e-4
    )
    other = made("clip_zero_shot", tiny_clip)
    other.train(dataclasses.replace(task, train_labels=task.train_labels[::-1].copy()))
    np.testing.assert_array_equal(other.classify(np.arange(9)), method.classify(np.arange(9)))


def test_lora_starts_as_the_model_itself_and_then_does_not(clip):
    adapted, learned = with_lora(clip.model, rank=2, alpha=1.0, dropped=0.25)
    adapted.eval()
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = clip.tokens(NAMES)
    with torch.no_grad():
        torch.testing.assert_close(adapted.encode_image(images), clip.model.encode_image(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encode_tokens(adapted, tokens), clip.text_embeddings(NAMES), rtol=1e-4, atol=1e-5)
        for parameter in learned:
            parameter += 0.1
        assert not torch.allclose(adapted.encode_image(images), clip.model.encode_image(images), atol=1e-3)
        assert not torch.allclose(encode_tokens(adapted, tokens), clip.text_embeddings(NAMES), atol=1e-3)


def test_lora_of_the_published_size_has_as_many_parameters():
    # Of ViT-B-16: twelve blocks as wide as 768 and 512, rank 2, queries, keys and values.
    import torch.nn as nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(width, 8, batch_first=True)

    model = nn.Module()
    model.visual = nn.ModuleList(Block(768) for _ in range(12))
    model.transformer = nn.ModuleList(Block(512) for _ in range(12))
    _, learned = with_lora(model, rank=2, alpha=1.0, dropped=0.25)
    assert sum(parameter.numel() for parameter in learned) == 184_320


def test_lora_refuses_a_convolutional_image_tower():
    model = torch.nn.Module()
    model.visual = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(UserError, match="found no vision transformer"):
        with_lora(model, rank=2, alpha=1.0, dropped=0.25)


def test_clap_holds_prototypes_that_zs_lp_lets_go(tiny_clip, task):
    away = {}
    for variant in ("default", "zs-lp"):
        method = made("clap", tiny_clip, variant, epochs=30)
        method.train(task)
        away[variant] = (method.prototypes.float() - method.text_embeddings().mean(dim=0)).norm()
    assert 0 < away["default"] < away["zs-lp"]


def test_lp_plus_plus_without_iterations_is_class_sums_and_texts(tiny_clip, task):
    method = made("lp_plus_plus", tiny_clip, iterations=0)
    method.train(task)
    shots = normalize(method.features.mean(task.train_pixels), dim=-1)
    texts = method.class_embeddings()
    targets = torch.from_numpy(task.train_targets)
    blend = 250 * (shots * texts[targets]).sum(dim=1).mean()
    sums = torch.stack([shots[targets == k].sum(dim=0) for k in range(3)])
    torch.testing.assert_close(method.weights.float(), sums + blend * texts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["clip_linear_probe", "lp_plus_plus", "clap", "tip_adapter"])
def test_few_shots_are_learned_even_on_random_features(name, tiny_clip, tiny_scene, draw_task):
    scene = tiny_scene(noise=0.1)
    method = made(
        name, tiny_clip, **({"train_keys": True, "epochs": 100, "alpha": 50.0} if name == "tip_adapter" else {})
    )
    task = draw_task(scene, shots=5, window=5)
    method.train(task)
    assert (method.classify(task.train_pixels).argmax(axis=1) == task.train_targets).mean() >= 0.8


@pytest.mark.parametrize(("shots", "chosen"), [(1, False), (4, True)])
def test_values_are_chosen_inside_the_shots_where_there_are_two_of_a_class(
    shots, chosen, tiny_clip, tiny_scene, draw_task
):
    task = draw_task(tiny_scene(), shots=shots, window=5)
    probe = made("clip_linear_probe", tiny_clip, regularisation=0.0123)
    probe.train(task)
    assert (probe.probe.C != 0.0123) == chosen
    tip = made("tip_adapter", tiny_clip, "leave-one-out", alpha=0.0123, beta=0.0123)
    tip.train(task)
    assert ((tip.alpha, tip.beta) != (0.0123, 0.0123)) == chosen


class Counted:
    """Counts how many images the models of a process encode."""

    def __init__(self, model: Any) -> None:
        self.images = 0
        self._encode = model.encode_image
        model.encode_image = self

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.images += len(images)
        return self._encode(images)


@pytest.fixture
def counted(tiny_clip, monkeypatch):
    source = Source(tiny_clip, "random", 0, "cpu")
    counter = Counted(source.clip.model)
    yield counter
    del source.clip.model.encode_image


def features(task, tiny_clip, **source: Any) -> ImageFeatures:
    return ImageFeatures(
        task, Source(tiny_clip, source.get("weights", "random"), source.get("seed", 0), "cpu"), ("hsi", "aux")
    )


def test_what_the_cache_holds_is_not_computed_again(task, tiny_scene, tiny_clip, tmp_path, counted):
    task = dataclasses.replace(task, cache=tmp_path)
    first = features(task, tiny_clip)(np.arange(100))
    assert counted.images == 2 * 128  # both views, in batches filled up
    counted.images = 0
    # Another process would have the same scene as another object.
    twin = dataclasses.replace(task, scene=tiny_scene().imagery)
    again = features(twin, tiny_clip)(np.arange(99, -1, -1))
    assert counted.images == 0
    assert torch.equal(again.flip(1), first)
    more = features(twin, tiny_clip)(np.arange(50, 150))
    assert counted.images == 2 * 128
    assert torch.equal(more[:, :50], first[:, 50:])


def test_other_weights_windows_and_scenes_have_features_of_their_own(task, tiny_scene, tiny_clip, tmp_path):
    task = dataclasses.replace(task, cache=tmp_path)
    pixels = np.arange(10)
    expected = features(task, tiny_clip)(pixels)
    wider = dataclasses.replace(task, study_window=7)
    elsewhere = dataclasses.replace(task, scene=tiny_scene(noise=0.5).imagery)
    for other in (features(task, tiny_clip, seed=1), features(wider, tiny_clip), features(elsewhere, tiny_clip)):
        assert not torch.allclose(other(pixels), expected)
    assert len(list((tmp_path / "clip-features").glob("*.npz"))) == 4 * 2


def test_a_broken_cache_file_is_computed_again(task, tiny_scene, tiny_clip, tmp_path, caplog):
    task = dataclasses.replace(task, cache=tmp_path)
    expected = features(task, tiny_clip)(np.arange(10))
    for path in (tmp_path / "clip-features").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    twin = dataclasses.replace(task, scene=tiny_scene().imagery)
    assert torch.equal(features(twin, tiny_clip)(np.arange(10)), expected)
    assert "its features are computed again" in caplog.text


def test_the_first_turn_is_the_window_itself_and_no_two_are_the_same():
    orders = rotated_orders(3)
    assert orders[0].tolist() == list(range(9))
    assert len({tuple(order.tolist()) for order in orders}) == 8


def test_one_view_alone_looks_at_that_modality_only(tiny_clip, task, tiny_scene):
    method = made("clip_zero_shot", tiny_clip, "false-colour")
    method.train(task)
    changed = dataclasses.replace(task.scene, aux=-task.scene.aux)
    other = made("clip_zero_shot", tiny_clip, "false-colour")
    other.train(dataclasses.replace(task, scene=changed))
    np.testing.assert_array_equal(method.classify(np.arange(20)), other.classify(np.arange(20)))


def test_wrong_views_and_missing_weights_are_told(tiny_clip, task, tmp_path):
    with pytest.raises(UserError, match="expected one or more, each once"):
        made("clap", tiny_clip, views=["hsi", "hsi"])
    absent = make_method("clip_zero_shot", options={"clip_weights": str(tmp_path / "absent.pt")})
    with pytest.raises(UserError, match=r"absent\.pt: no such file"):
        absent.train(task)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_of_a_local_file_are_taken(suffix, tiny_clip, tiny_weights, task):
    method = make_method("clip_zero_shot", options={"clip_model": tiny_clip, "clip_weights": str(tiny_weights[suffix])})
    assert method.clip_weights.startswith(f"tiny.{suffix} (")
    method.train(task)
    assert np.isfinite(method.classify(np.arange(5))).all()

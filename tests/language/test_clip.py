"""A frozen CLIP gives open_clip's own embeddings, and missing weights are explained at once."""

from __future__ import annotations

import logging
import pickle
import socket
import time
import urllib.request
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from diffclip.errors import UserError
from diffclip.language.clip import clip_embeddings

TEXTS = ["a patch of a tree.", "water", "a fine grained patch of a parking lot with cars on it."]


@pytest.fixture
def no_connection(monkeypatch, tmp_path):
    """Cut the connection, and hide weights that were downloaded before."""

    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("activation", ["", "-quickgelu"])
def test_embeddings_are_those_of_encode_text_with_the_files_weights(tiny_clip, tiny_weights, suffix, activation):
    import open_clip

    path = str(tiny_weights[suffix])
    model = open_clip.create_model(tiny_clip + activation, pretrained=path).eval().requires_grad_(False)
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(tiny_clip)(TEXTS))
    assert torch.equal(clip_embeddings(TEXTS, tiny_clip + activation, path, seed=0), expected)


def test_nothing_is_left_to_train(tiny_clip):
    assert not clip_embeddings(TEXTS, tiny_clip, "random", seed=0).requires_grad


def test_weights_of_a_file_do_not_depend_on_the_seed(tiny_clip, tiny_weights):
    first, second = (clip_embeddings(TEXTS, tiny_clip, str(tiny_weights["pt"]), seed) for seed in (0, 1))
    assert torch.equal(first, second)


def test_random_weights_follow_the_seed_and_leave_global_generators_alone(tiny_clip):
    before = torch.random.get_rng_state()
    first, again, other = (clip_embeddings(TEXTS, tiny_clip, "random", seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_embeddings_do_not_depend_on_other_texts(tiny_clip):
    together = clip_embeddings(TEXTS, tiny_clip, "random", seed=0)
    alone = torch.cat([clip_embeddings([text], tiny_clip, "random", seed=0) for text in TEXTS])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("tag", "model", "activation"),
    [
        ("openai", "ViT-B-32", "QuickGELU"),
        ("openai", "ViT-B-32-quickgelu", "QuickGELU"),
        ("laion2b_e16", "ViT-B-32", "GELU"),
    ],
)
def test_published_weights_get_the_activation_they_were_trained_with(monkeypatch, caplog, tag, model, activation):
    import open_clip

    made = {}

    def create(name, **options):
        made.update(options, name=name)
        return torch.nn.Identity()

    monkeypatch.setattr(open_clip, "create_model", create)
    monkeypatch.setattr("diffclip.language.clip._kept", lambda *asked: "kept.safetensors")
    monkeypatch.setattr(torch.nn.Identity, "encode_text", lambda self, tokens: tokens.float(), raising=False)
    with caplog.at_level(logging.INFO):
        clip_embeddings(TEXTS, model, tag, seed=0)
    assert made["pretrained"] == "kept.safetensors"
    assert made["force_quick_gelu"] is (activation == "QuickGELU")
    assert f"CLIP {model}, weights {tag}, activation {activation}" in caplog.text


def test_weights_that_were_downloaded_before_need_no_connection(no_connection, monkeypatch, tiny_clip, tiny_weights):
    import open_clip

    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *asked: {"hf_hub": "somebody/some-clip/"})
    kept = {("somebody/some-clip", "open_clip_model.safetensors"): str(tiny_weights["safetensors"])}
    monkeypatch.setattr(open_clip.pretrained, "hf_hub_download", lambda *asked, local_files_only: kept[asked])
    found = clip_embeddings(TEXTS, tiny_clip, "published", seed=0)
    assert torch.equal(found, clip_embeddings(TEXTS, tiny_clip, str(tiny_weights["pt"]), seed=0))


@pytest.mark.parametrize("tag", ["openai", "laion2b_e16"])
def test_without_a_connection_the_error_comes_at_once_and_says_what_to_do(no_connection, tag):
    start = time.perf_counter()
    with pytest.raises(UserError) as error:
        clip_embeddings(TEXTS, "ViT-B-32", tag, seed=0)
    assert time.perf_counter() - start < 5
    for said in (tag, "'ViT-B-32'", "no connection to", "Network is unreachable", "local .pt or .safetensors file"):
        assert said in str(error.value)
    for said in ("clip_weights: random", "text_tower: file", "diffclip embed-texts"):
        assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_models_and_tags_are_refused_with_a_hint(tiny_clip):
    with pytest.raises(UserError, match=r"clip_model: found 'ViT-B-33' \(did you mean '"):
        clip_embeddings(TEXTS, "ViT-B-33", "openai", seed=0)
    with pytest.raises(UserError, match=r"clip_weights: found 'opnai' \(did you mean 'openai'\?\); expected a tag of"):
        clip_embeddings(TEXTS, "ViT-B-32", "opnai", seed=0)
    with pytest.raises(UserError, match=r"expected a tag of tiny-test-clip \(none known\)"):
        clip_embeddings(TEXTS, tiny_clip, "openai", seed=0)


def test_files_that_are_missing_or_do_not_fit_are_refused(tiny_clip, tmp_path):
    with pytest.raises(UserError, match=r"clip_weights: .*absent\.pt: no such file"):
        clip_embeddings(TEXTS, tiny_clip, str(tmp_path / "absent.pt"), seed=0)
    other = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(2)}, other)
    with pytest.raises(
        UserError, match=r"other\.pt' of 'tiny-test-clip' could not be had: RuntimeError: .*Missing key"
    ):
        clip_embeddings(TEXTS, tiny_clip, str(other), seed=0)


def test_a_file_that_would_run_code_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "pickled.pt"
    path.write_bytes(pickle.dumps(SimpleNamespace(code="runs"), protocol=2))
    with pytest.raises(UserError, match="UnpicklingError"):
        clip_embeddings(TEXTS, tiny_clip, str(path), seed=0)


def test_a_tokenizer_that_is_not_at_hand_is_explained_too(no_connection, monkeypatch):
    import open_clip

    def absent(model):
        raise ModuleNotFoundError("No module named 'transformers'")

    monkeypatch.setattr(open_clip, "get_tokenizer", absent)
    monkeypatch.setattr("diffclip.language.clip._load", lambda model, weights: torch.nn.Identity())
    with pytest.raises(UserError, match="could not be had: ModuleNotFoundError: No module named 'transformers'"):
        clip_embeddings(TEXTS, "ViT-B-32", "random", seed=0)


def test_every_published_tag_lies_on_the_hub():
    import open_clip

    assert all(open_clip.get_pretrained_cfg(*pair)["hf_hub"] for pair in open_clip.list_pretrained())

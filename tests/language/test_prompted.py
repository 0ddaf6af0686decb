"""CLIP's text tower from token embeddings gives what open_clip gives from texts."""

from __future__ import annotations

import pytest
import torch

from diffclip.errors import UserError
from diffclip.language.clip import load_clip
from diffclip.language.prompted import cut, encode_tokens, text_tower

TEXTS = ["water", "a fine grained patch of a parking lot with cars on it."]


def test_a_text_that_is_cut_after_its_end_has_the_same_embedding(tiny_clip):
    clip = load_clip(tiny_clip, "random", seed=0)
    ids = clip.tokens(TEXTS)
    assert cut(ids).shape[1] < ids.shape[1]
    torch.testing.assert_close(encode_tokens(clip.model, ids), clip.text_embeddings(TEXTS), rtol=1e-5, atol=1e-6)


def test_a_text_tower_under_a_name_of_its_own_is_found(tiny_clip):
    import open_clip

    model = open_clip.create_model(tiny_clip, force_custom_text=True).eval()
    ids = open_clip.get_tokenizer(tiny_clip)(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(encode_tokens(model, ids), model.encode_text(ids), rtol=1e-5, atol=1e-6)


def test_a_text_tower_of_another_kind_is_refused():
    with pytest.raises(UserError, match="found a text tower of Identity with pooling None"):
        text_tower(torch.nn.Identity())

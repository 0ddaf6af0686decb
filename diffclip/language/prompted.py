"""CLIP's text tower, step by step: from token embeddings, so that some of them can be learned, and cut to length."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.errors import UserError


def text_tower(model: Any) -> Any:
    """Return what holds a model's text transformer: the model itself, or its `text`.

    Raises:
        UserError: the text tower is not CLIP's causal transformer that is read at the end of text.
    """
    tower = getattr(model, "text", model)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    if pool != "argmax" or not all(hasattr(tower, part) for part in parts) or tower.attn_mask is None:
        raise UserError(
            f"clip_model: found a text tower of {type(tower).__name__} with pooling {pool!r}, expected CLIP's causal "
            "transformer that is read at the end of text"
        )
    return tower


def encode_tokens(model: Any, ids: Int64[Tensor, "n L"]) -> Float[Tensor, "n D"]:
    """Return the embeddings of tokenised texts, not normalised; as `encode_text`, but no longer than the longest."""
    ids = cut(ids)
    return encode_embedded(model, text_tower(model).token_embedding(ids), ids)


def cut(ids: Int64[Tensor, "n L"]) -> Int64[Tensor, "n short"]:
    """Return token ids without what follows the longest text's end: it cannot reach it in a causal tower.

    The end of text has the highest id.
    """
    return ids[:, : int(ids.argmax(dim=-1).max()) + 1]


def encode_embedded(model: Any, embedded: Float[Tensor, "n L W"], ids: Int64[Tensor, "n L"]) -> Float[Tensor, "n D"]:
    """Return the embeddings of texts whose tokens are embedded already, not normalised.

    Args:
        model: of open_clip.
        embedded: one vector per token.
        ids: says where each text ends (its highest id).
    """
    tower = text_tower(model)
    length = embedded.shape[1]
    tokens = embedded + tower.positional_embedding[:length]
    tokens = tower.ln_final(tower.transformer(tokens, attn_mask=tower.attn_mask[:length, :length]))
    ends = tokens[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)]
    projection = tower.text_projection
    return projection(ends) if isinstance(projection, nn.Linear) else ends @ projection

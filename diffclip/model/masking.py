"""Random masking of tokens (He et al. 2022): each window keeps a random share of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Kept:
    """Which tokens stay visible.

    Attributes:
        index: positions of the kept tokens, in random order.
        hidden: True where a token is hidden.
    """

    index: Int64[Tensor, "*batch kept"]
    hidden: Bool[Tensor, "*batch T"]


def kept_tokens(draw: Float[Tensor, "*batch T"], mask_ratio: float) -> Kept:
    """Keep the floor(T (1 - mask_ratio)) tokens with the smallest of uniform random numbers, at least one.

    Args:
        draw: one random number per token, independent per window and modality.
        mask_ratio: share of hidden tokens, 0 <= ratio < 1.
    """
    # Without the small number, 25 tokens at a ratio of 0.8 would keep 4 of their 5: 1 - 0.8 is a little below 0.2.
    count = int(draw.shape[-1] * (1 - mask_ratio) + 1e-9)
    index = draw.argsort(-1)[..., : max(1, count)]
    hidden = torch.ones_like(draw, dtype=torch.bool).scatter(-1, index, False)
    return Kept(index, hidden)


def take(tokens: Float[Tensor, "*batch T D"], index: Int64[Tensor, "*batch kept"]) -> Float[Tensor, "*batch kept D"]:
    """Return the tokens at `index`."""
    return tokens.gather(-2, index[..., None].expand(*index.shape, tokens.shape[-1]))

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
        shown: positions of the tokens that the encoder sees in their stead; None, as it should be: those of `index`.
    """

    index: Int64[Tensor, "*batch kept"]
    hidden: Bool[Tensor, "*batch T"]
    shown: Int64[Tensor, "*batch kept"] | None = None

    @property
    def seen(self) -> Int64[Tensor, "*batch kept"]:
        """Positions of the tokens that the encoder sees."""
        return self.index if self.shown is None else self.shown


def kept_tokens(
    draw: Float[Tensor, "*batch T"], mask_ratio: float, *, restore_order: bool = False, exact: bool = True
) -> Kept:
    """Keep the floor(T (1 - mask_ratio)) tokens with the smallest of uniform random numbers, at least one.

    Args:
        draw: one random number per token, independent per window and modality.
        mask_ratio: share of hidden tokens, 0 <= ratio < 1.
        restore_order: show the encoder the tokens at the first places of the order that is meant to put them back
            (what the released code does to LiDAR).
        exact: False rounds down the floating-point product, as the released code does: 4 of 25 at a ratio of 0.8.
    """
    # Without the small number, 25 tokens at a ratio of 0.8 would keep 4 of their 5: 1 - 0.8 is a little below 0.2.
    count = max(1, int(draw.shape[-1] * (1 - mask_ratio) + (1e-9 if exact else 0.0)))
    order = draw.argsort(-1)
    index = order[..., :count]
    hidden = torch.ones_like(draw, dtype=torch.bool).scatter(-1, index, False)
    return Kept(index, hidden, order.argsort(-1)[..., :count] if restore_order else None)


def showing(draw: Float[Tensor, "*batch T"], place: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch T"]:
    """Return the random numbers of `kept_tokens` changed so that the token at `place` is the first that is kept."""
    return draw.scatter(-1, place[..., None], -1.0)

"""Layers that several networks share; forwards name trailing axes only."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout whose masks come from a generator that it is given (see `draw_from`), never from a global one.

    Args:
        p: share of the values that are set to zero while training.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Set values to zero at random and scale the others up, while training; else change nothing."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p
        return x * kept / (1 - self.p)


def draw_from(network: nn.Module, generator: torch.Generator) -> None:
    """Let every `Dropout` of a network draw from `generator`, which lives on the network's device."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator


class Residual(nn.Sequential):
    """Layers with a short cut around them."""

    def forward(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Return the input plus what the layers make of it."""
        return x + super().forward(x)


class SelfAttention(nn.Module):
    """Multi-head self-attention whose heads together may be wider or narrower than the tokens; queries have no bias.

    Args:
        width: D of the tokens.
        heads: number of heads.
        head: width of a head.
        dropout: after the projection.
    """

    def __init__(self, width: int, heads: int, head: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head, bias=False)
        self.out = nn.Sequential(nn.Linear(heads * head, width), Dropout(dropout))

    def forward(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch T D"]:
        """Mix the T tokens."""
        leading, tokens = x.shape[:-2], x.shape[-2]
        qkv = self.qkv(x).reshape(-1, tokens, 3, self.heads, self.qkv.out_features // (3 * self.heads))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2).unflatten(0, leading))


def transformer_block(width: int, heads: int, head: int, hidden: int, dropout: float) -> nn.Sequential:
    """Return a pre-norm transformer block with dropout after every linear layer but the first of the attention."""
    attention = Residual(nn.LayerNorm(width), SelfAttention(width, heads, head, dropout))
    mlp = Residual(
        nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, width),
        Dropout(dropout),
    )  # fmt: skip
    return nn.Sequential(attention, mlp)

"""Layers that several networks share; like the networks, they keep to the rules of `diffclip.layers`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout whose masks come from generators that it is given (see `draw_from`), never from a global one.

    Args:
        p: share of the values that are set to zero while training.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generators: Sequence[torch.Generator] = ()

    def forward(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Set values to zero at random and scale the others up, while training; else change nothing."""
        if not self.training or self.p == 0:
            return x
        if not self.generators:
            raise RuntimeError("Dropout: found no generator to draw from; call draw_from first")
        if len(self.generators) == 1:
            draws = torch.rand(x.shape, generator=self.generators[0], device=x.device)
        else:  # one seed per entry of the first axis
            draws = torch.stack([torch.rand(x.shape[1:], generator=g, device=x.device) for g in self.generators])
        return x * (draws >= self.p) / (1 - self.p)


def draw_from(network: nn.Module, *generators: torch.Generator) -> None:
    """Let every `Dropout` of a network draw from a generator on its device, of several seeds each from its own."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generators = generators


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
        self.heads, self.head = heads, head
        self.qkv = nn.Linear(width, 3 * heads * head, bias=False)
        self.out = nn.Sequential(nn.Linear(heads * head, width), Dropout(dropout))

    def forward(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch T D"]:
        """Mix the T tokens."""
        leading, tokens = x.shape[:-2], x.shape[-2]
        qkv = self.qkv(x).reshape(-1, tokens, 3, self.heads, self.head)
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

"""Leaf layers and the transformer block, shared by the encoder, the decoders and the text tower.

Three rules hold for every module built from these, so that several seeds of a model can be trained as one:
parameters live in leaf layers only; a forward names trailing axes only (any number of leading axes may stand before
them); randomness is an argument, never drawn inside.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import linear

from diffclip.attention import attend, self_attend
from diffclip.regions import region


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis, with statistics over all axes before it."""

    def forward(self, x: Float[Tensor, "*axes C"]) -> Float[Tensor, "*axes C"]:
        """Normalise."""
        return super().forward(x.flatten(0, -2)).view_as(x)


class Table(nn.Module):
    """A (rows, D) table of vectors: class token, mask token, or positions.

    Args:
        initial: (rows, D) values to start from.
        learned: False keeps them as they are.
    """

    def __init__(self, initial: Float[Tensor, "rows D"], *, learned: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(initial.clone(), requires_grad=learned)

    def forward(self) -> Float[Tensor, "*seeds rows D"]:
        """Return the vectors."""
        return self.weight


class Scale(nn.Module):
    """A learned scalar, kept as its logarithm (CLIP's temperature)."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Float[Tensor, "*seeds"]:
        """Return the scalar itself."""
        return self.weight.exp()


def xavier(
    module: nn.Module, kinds: tuple[type[nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d], ...] = (nn.Linear,)
) -> None:
    """Give every layer of these kinds below `module` Xavier's uniform weights and no bias.

    Linear layers alone, the default, is what masked autoencoders do.
    """
    for layer in module.modules():
        if isinstance(layer, kinds):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class QuickGELU(nn.Module):
    """The activation of OpenAI's CLIP: x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every element."""
        return x * torch.sigmoid(1.702 * x)


class Projections(nn.Linear):
    """A linear layer that can be asked for some of its outputs."""

    def forward(
        self, x: Float[Tensor, "*axes i"], first: int = 0, last: int | None = None
    ) -> Float[Tensor, "*axes part"]:
        """Return the outputs from `first` to before `last`."""
        return linear(x, self.weight[first:last], self.bias[first:last])


class Attention(nn.Module):
    """Multi-head self-attention over the last but one axis.

    Args:
        width: D, divisible by `heads`.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.heads = heads
        self.qkv = Projections(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "*batch T D"], *, causal: bool = False, read: Int64[Tensor, "*batch q"] | None = None
    ) -> Float[Tensor, "*batch _q D"]:
        """Mix the T tokens and return them, or those at `read`; with `causal`, none of them sees those after it.

        Raises:
            ValueError: `causal` and `read` together.
        """
        if read is None:
            return self.out(self_attend(self.qkv(x), self.heads, causal=causal))
        if causal:
            raise ValueError("causal attention reads all tokens, expected no `read`")
        width = x.shape[-1]
        return self.out(attend(self.qkv(take(x, read), 0, width), self.qkv(x, width), self.heads))


def _rows_of(index: Int64[Tensor, "*batch kept"], count: int) -> Int64[Tensor, " rows"]:
    """Return where the tokens at `index`, of `count` in each sequence, stand once all sequences are one."""
    starts = torch.arange(index[..., 0].numel(), device=index.device).view(*index.shape[:-1], 1) * count
    return (starts + index).flatten()


def take(tokens: Float[Tensor, "*batch T D"], index: Int64[Tensor, "*batch kept"]) -> Float[Tensor, "*batch kept D"]:
    """Return the tokens at `index`.

    By rows, for the repeatable kernel of the way back sorts the index: one number per token, not one per channel.
    """
    rows = _rows_of(index, tokens.shape[-2])
    return tokens.flatten(0, -2).index_select(0, rows).view(*index.shape, tokens.shape[-1])


def put(
    tokens: Float[Tensor, "*batch T D"], index: Int64[Tensor, "*batch kept"], new: Float[Tensor, "*batch kept D"]
) -> Float[Tensor, "*batch T D"]:
    """Return the tokens with `new` ones at `index`, where no position occurs twice; by rows, as `take`."""
    rows = _rows_of(index, tokens.shape[-2])
    return tokens.flatten(0, -2).index_copy(0, rows, new.flatten(0, -2)).view_as(tokens)


class Block(nn.Module):
    """A pre-norm transformer block.

    Args:
        width: D.
        heads: number of heads.
        mlp_ratio: hidden width of the MLP, as a multiple of D.
        eps: of the layer norms.
        activation: between the MLP's layers.
    """

    def __init__(
        self, width: int, heads: int, mlp_ratio: float, eps: float = 1e-6, activation: type[nn.Module] = nn.GELU
    ) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))

    @region
    def forward(
        self, x: Float[Tensor, "*batch T D"], *, causal: bool = False, read: Int64[Tensor, "*batch q"] | None = None
    ) -> Float[Tensor, "*batch _q D"]:
        """Mix the T tokens, then transform each, or those at `read`; with `causal`, none sees those after it."""
        mixed = self.attention(self.norm1(x), causal=causal, read=read)
        x = (x if read is None else take(x, read)) + mixed
        return x + self.mlp(self.norm2(x))

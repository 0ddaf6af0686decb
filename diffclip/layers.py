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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear, scaled_dot_product_attention

from diffclip.regions import region

# CUDA kernels of scaled dot-product attention fail on more sequences at once (pytorch#142228, #146704).
_MOST_SEQUENCES = 65_535
# Sequences whose scores, 122 x 122 for each of 8 heads, stay in a CPU's cache.
_IN_CACHE = 8
# Between these, sums of exponentials hold none that overflowed, and products with them overflow neither.
_SAFE_SUMS = (1e-30, 1e30)
# Longest sequences that PyTorch's memory-efficient kernel attends quicker than the others on a GPU, in half precision.
_SHORT = 64


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
        self.heads, self.width = heads, width
        self.qkv = Projections(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "*batch T D"], *, causal: bool = False, read: Int64[Tensor, "*batch q"] | None = None
    ) -> Float[Tensor, "*batch _q D"]:
        """Mix the T tokens and return them, or those at `read`; with `causal`, none of them sees those after it."""
        width = x.shape[-1]
        if read is None:
            query, key, value = self._by_head(self.qkv(x))
        else:
            (query,) = self._by_head(self.qkv(take(x, read), 0, width))
            key, value = self._by_head(self.qkv(x, width))
        mixed = attend(query, key, value, causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(*x.shape[:-2], query.shape[-2], width))

    def _by_head(self, projected: Float[Tensor, "*batch T nD"]) -> Float[Tensor, "n batches heads T d"]:
        """Tell queries, keys and values apart, or those of them that are there, and the heads of each.

        Leading axes are folded into one: with five axes SDPA falls back to its slow path.
        """
        tokens, count = projected.shape[-2], projected.shape[-1] // self.width
        parts = projected.reshape(-1, tokens, count, self.heads, self.width // self.heads)
        return parts.permute(2, 0, 3, 1, 4)


def attend(
    query: Float[Tensor, "n heads q d"],
    key: Float[Tensor, "n heads T d"],
    value: Float[Tensor, "n heads T d"],
    *,
    causal: bool = False,
) -> Float[Tensor, "n heads q d"]:
    """Scaled dot-product attention by the quickest right kernel."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and not causal:
        parts = zip(*(x.split(_IN_CACHE) for x in (query, key, value)), strict=True)
        written_out = _attend_in_halves if torch.is_grad_enabled() else _attend_unshifted
        return torch.cat([written_out(q, k, v) for q, k, v in parts])
    short = query.shape[-2] == key.shape[-2] <= _SHORT and not causal
    if query.device.type == "cuda" and query.dtype == torch.bfloat16 and short:
        with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
            return _attend_in_parts(query, key, value, causal=causal)
    return _attend_in_parts(query, key, value, causal=causal)


def _attend_in_parts(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    if len(query) <= _MOST_SEQUENCES:
        return scaled_dot_product_attention(query, key, value, is_causal=causal)
    parts = zip(*(x.split(_MOST_SEQUENCES) for x in (query, key, value)), strict=True)
    return torch.cat([scaled_dot_product_attention(q, k, v, is_causal=causal) for q, k, v in parts])


def _attend_in_halves(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend with products in bfloat16 and shares in float32.

    On a CPU the fused kernel is no faster in half precision forwards, and seven times slower backwards.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.mT
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


def _attend_unshifted(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend as `_attend_in_halves`, without gradients and with fewer passes over the scores.

    Their exponentials are taken as they are, in bfloat16, and what is mixed is divided by their sums; a softmax would
    first look for the highest score of every row, which only scores beyond 69 or so need. Those go the other way.
    """
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    exponentials = torch.baddbmm(q.new_empty(1, 1, 1), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5).exp_()
    # A product with ones sums in float32 without a copy in float32.
    sums = exponentials @ exponentials.new_ones(len(q), k.shape[-2], 1)
    low, high = torch.aminmax(sums)
    if not (low > _SAFE_SUMS[0] and high < _SAFE_SUMS[1]):
        return _attend_in_halves(query, key, value)
    return (exponentials @ v / sums.float()).to(value.dtype).view(query.shape)


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

"""Scaled dot-product attention by the quickest right kernel of a device and precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from diffclip.errors import UserError

# CUDA kernels of scaled dot-product attention fail on more sequences at once (pytorch#142228, #146704).
_MOST_SEQUENCES = 65_535
# Sequences whose scores, 122 x 122 for each of 8 heads, stay in a CPU's cache.
_IN_CACHE = 8
# Between these, sums of exponentials hold none that overflowed, and products with them overflow neither.
_SAFE_SUMS = (1e-30, 1e30)
# Longest sequences that PyTorch's memory-efficient kernel attends quicker than the others on a GPU, in half precision.
_SHORT = 64


class _Switch:
    """The module `short_attention` while its kernels are on."""

    def __init__(self) -> None:
        self.kernels: ModuleType | None = None


# An instance: of classes' attributes, PyTorch 2.11's compiler does not see that they change.
_switch = _Switch()


@contextmanager
def short_kernels(wanted: bool) -> Iterator[None]:
    """Let kernels of Triton attend short sequences in half precision, which must be on a GPU.

    Raises:
        UserError: there is no Triton.
    """
    if not wanted:
        yield
        return
    try:
        from diffclip import short_attention
    except ImportError as error:
        raise UserError(f"precision bf16-triton: {error}, expected a PyTorch that comes with Triton") from None
    before, _switch.kernels = _switch.kernels, short_attention
    try:
        yield
    finally:
        _switch.kernels = before


def self_attend(
    projected: Float[Tensor, "*batch T 3D"], heads: int, *, causal: bool = False
) -> Float[Tensor, "*batch T D"]:
    """Let all T tokens of a sequence ask one another.

    Args:
        projected: queries, keys and values, each of all heads side by side.
        heads: number of heads.
        causal: none sees those that stand after it.
    """
    tokens, width = projected.shape[-2], projected.shape[-1] // 3
    kernels = _switch.kernels
    if kernels is not None and not causal and kernels.serves(tokens, width // heads, projected.dtype):
        return kernels.self_attend(projected.flatten(0, -3), heads).view(*projected.shape[:-1], width)
    query, key, value = _by_head(projected, 3, heads)
    return _side_by_side(_attended(query, key, value, causal=causal), projected.shape[:-2])


def attend(
    asking: Float[Tensor, "*batch q D"], asked: Float[Tensor, "*batch T 2D"], heads: int
) -> Float[Tensor, "*batch q D"]:
    """Let q tokens ask all T of their sequence.

    Args:
        asking: queries, of all heads side by side.
        asked: keys and values, likewise.
        heads: number of heads.
    """
    kernels, tokens = _switch.kernels, asked.shape[-2]
    if kernels is not None and kernels.serves(tokens, asking.shape[-1] // heads, asking.dtype):
        return kernels.attend(asking.flatten(0, -3), asked.flatten(0, -3), heads).view(asking.shape)
    (query,), (key, value) = _by_head(asking, 1, heads), _by_head(asked, 2, heads)
    return _side_by_side(_attended(query, key, value), asking.shape[:-2])


def _by_head(
    projected: Float[Tensor, "*batch T nD"], count: int, heads: int
) -> Float[Tensor, "{count} batches {heads} T d"]:
    """Tell queries, keys and values apart, or those of them that are there, and the heads of each.

    Leading axes are folded into one: with five axes SDPA falls back to its slow path.
    """
    parts = projected.reshape(-1, projected.shape[-2], count, heads, projected.shape[-1] // (count * heads))
    return parts.permute(2, 0, 3, 1, 4)


def _side_by_side(mixed: Float[Tensor, "batches heads q d"], batch: torch.Size) -> Float[Tensor, "*batch q D"]:
    _, heads, tokens, channels = mixed.shape
    return mixed.transpose(1, 2).reshape(*batch, tokens, heads * channels)


def _attended(
    query: Float[Tensor, "n heads q d"],
    key: Float[Tensor, "n heads T d"],
    value: Float[Tensor, "n heads T d"],
    *,
    causal: bool = False,
) -> Float[Tensor, "n heads q d"]:
    """Scaled dot-product attention by the quickest right kernel."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and not causal and len(query):
        parts = zip(*(x.split(_IN_CACHE) for x in (query, key, value)), strict=True)
        written_out = _attend_in_halves if torch.is_grad_enabled() else _attend_unshifted
        return torch.cat([written_out(q, k, v) for q, k, v in parts])
    short = query.shape[-2] == key.shape[-2] <= _SHORT and not causal
    if query.device.type == "cuda" and query.dtype == torch.bfloat16 and short:
        # Not every GPU and every number of channels has it.
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
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

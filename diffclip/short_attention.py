"""Attention within short sequences of narrow heads on a GPU, as operators of torch around `kernels.py`.

Triton comes with PyTorch's builds for Linux; this module is imported where its kernels are asked for.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from diffclip import kernels

# Tokens of a sequence, and channels of a head, for which a program's registers hold all scores.
MOST_TOKENS = 128
HEADS = (16, 32)


def serves(tokens: int, head: int, dtype: torch.dtype) -> bool:
    """Tell whether the kernels attend sequences of so many tokens, with heads of so many channels, in a precision."""
    return tokens <= MOST_TOKENS and head in HEADS and dtype == torch.bfloat16


def self_attend(qkv: Float[Tensor, "n T 3D"], heads: int) -> Float[Tensor, "n T D"]:
    """Let all T tokens of a sequence ask one another.

    Args:
        qkv: queries, keys and values, each of all heads side by side.
        heads: number of heads.
    """
    return _self_attend(qkv, heads)[0]


def attend(asking: Float[Tensor, "n q D"], asked: Float[Tensor, "n T 2D"], heads: int) -> Float[Tensor, "n q D"]:
    """Let q tokens, no more than T, ask all T of their sequence.

    Args:
        asking: queries, of all heads side by side.
        asked: keys and values, likewise.
        heads: number of heads.
    """
    return _attend(asking, asked, heads)[0]


def sizes(asking: int, tokens: int, head: int) -> dict[str, int]:
    """Return what the kernels are compiled for, and the warps of a program.

    So many warps that no register of a kernel spills on a GPU of compute capability 9.

    Args:
        asking: queries of a sequence.
        tokens: keys of it.
        head: channels of a head.
    """
    rows, size = (max(16, triton.next_power_of_2(count)) for count in (asking, tokens))
    return {"ROWS": rows, "SIZE": size, "HEAD": head, "num_warps": 8 if rows == MOST_TOKENS else 4}


def _numbers(queries: Tensor, asked: Tensor, heads: int) -> dict[str, Any]:
    """Return the arguments that both kernels take after their arrays."""
    asking, tokens, width = queries.shape[1], asked.shape[1], queries.shape[2]
    return {
        "asking": asking,
        "tokens": tokens,
        "heads": heads,
        "query_step": _step(queries),
        "asked_step": _step(asked),
        "scale": (width // heads) ** -0.5,
        **sizes(asking, tokens, width // heads),
    }


def _step(rows: Tensor) -> int:
    """Return how many numbers lie from row to row, which is from sequence to sequence where each has one row.

    The stride of an axis with one row may be anything.
    """
    return rows.stride(1) if rows.shape[1] > 1 else rows.stride(0)


def _mixed(queries: Tensor, asked: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    count, asking, width = queries.shape
    mixed = queries.new_empty(count, asking, width)
    norms = queries.new_empty(count, heads, asking, dtype=torch.float32)
    kernels.forward[(count * heads,)](queries, asked, mixed, norms, **_numbers(queries, asked, heads))
    return mixed, norms


def _back(queries: Tensor, asked: Tensor, norms: Tensor, dmixed: Tensor, into: tuple[Tensor, Tensor]) -> None:
    """Write the gradients of `queries` and `asked` into two tensors with their strides."""
    heads = norms.shape[1]
    arrays = (queries, asked, norms, dmixed.contiguous(), *into)
    kernels.backward[(len(queries) * heads,)](*arrays, **_numbers(queries, asked, heads))


def _parted(qkv: Tensor) -> tuple[Tensor, Tensor]:
    """Return views of the queries, and of the keys and values."""
    width = qkv.shape[-1] // 3
    return qkv[..., :width], qkv[..., width:]


@torch.library.custom_op("diffclip::self_attend_short", mutates_args=())
def _self_attend(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    return _mixed(*_parted(qkv.contiguous()), heads)


@_self_attend.register_fake
def _(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    count, tokens, width = qkv.shape
    return qkv.new_empty(count, tokens, width // 3), qkv.new_empty(count, heads, tokens, dtype=torch.float32)


@torch.library.custom_op("diffclip::self_attend_short_backward", mutates_args=())
def _self_attend_backward(dmixed: Tensor, qkv: Tensor, norms: Tensor) -> Tensor:
    qkv = qkv.contiguous()
    dqkv = torch.empty_like(qkv, memory_format=torch.contiguous_format)
    _back(*_parted(qkv), norms, dmixed, _parted(dqkv))
    return dqkv


@_self_attend_backward.register_fake
def _(dmixed: Tensor, qkv: Tensor, norms: Tensor) -> Tensor:
    return torch.empty_like(qkv, memory_format=torch.contiguous_format)


@torch.library.custom_op("diffclip::attend_short", mutates_args=())
def _attend(asking: Tensor, asked: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    return _mixed(asking.contiguous(), asked.contiguous(), heads)


@_attend.register_fake
def _(asking: Tensor, asked: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    count, queries, width = asking.shape
    return asking.new_empty(count, queries, width), asking.new_empty(count, heads, queries, dtype=torch.float32)


@torch.library.custom_op("diffclip::attend_short_backward", mutates_args=())
def _attend_backward(dmixed: Tensor, asking: Tensor, asked: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
    asking, asked = asking.contiguous(), asked.contiguous()
    dasking, dasked = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (asking, asked))
    _back(asking, asked, norms, dmixed, (dasking, dasked))
    return dasking, dasked


@_attend_backward.register_fake
def _(dmixed: Tensor, asking: Tensor, asked: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
    dasking, dasked = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (asking, asked))
    return dasking, dasked


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, _ = inputs
    ctx.save_for_backward(*tensors, output[1])


def _self_gradient(ctx: Any, dmixed: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
    return _self_attend_backward(dmixed, *ctx.saved_tensors), None


def _gradient(ctx: Any, dmixed: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, None]:
    return *_attend_backward(dmixed, *ctx.saved_tensors), None


_self_attend.register_autograd(_self_gradient, setup_context=_keep)
_attend.register_autograd(_gradient, setup_context=_keep)


def _products(count: int, asking: int, tokens: int, width: int, products: int) -> int:
    """Return the operations of matrix products of all scores with the channels of all heads."""
    return products * 2 * count * asking * tokens * width


@register_flop_formula(torch.ops.diffclip.self_attend_short)
def _(qkv: torch.Size, heads: int, **_: Any) -> int:
    return _products(qkv[0], qkv[1], qkv[1], qkv[2] // 3, 2)


@register_flop_formula(torch.ops.diffclip.self_attend_short_backward)
def _(dmixed: torch.Size, *_: torch.Size, **__: Any) -> int:
    return _products(dmixed[0], dmixed[1], dmixed[1], dmixed[2], 5)


@register_flop_formula(torch.ops.diffclip.attend_short)
def _(asking: torch.Size, asked: torch.Size, heads: int, **_: Any) -> int:
    return _products(asking[0], asking[1], asked[1], asking[2], 2)


@register_flop_formula(torch.ops.diffclip.attend_short_backward)
def _(dmixed: torch.Size, asking: torch.Size, asked: torch.Size, *_: torch.Size, **__: Any) -> int:
    return _products(asking[0], asking[1], asked[1], asking[2], 5)

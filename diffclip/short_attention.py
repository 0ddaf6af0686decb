"""Self-attention over short sequences of narrow heads on a GPU, as operators of torch around `kernels.py`.

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


def sizes(tokens: int, head: int) -> dict[str, int]:
    """Return what the kernels are compiled for, and the warps of a program, for `tokens` and heads of `head` channels.

    So many warps that no register of a kernel spills on a GPU of compute capability 9.
    """
    size = max(16, triton.next_power_of_2(tokens))
    return {"SIZE": size, "HEAD": head, "num_warps": 8 if size == MOST_TOKENS else 4}


@torch.library.custom_op("diffclip::attend_short", mutates_args=())
def _attend(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    count, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    qkv, head = qkv.contiguous(), width // heads
    mixed, norms = qkv.new_empty(count, tokens, width), qkv.new_empty(count, heads, tokens, dtype=torch.float32)
    kernels.forward[(count * heads,)](qkv, mixed, norms, tokens, heads, head**-0.5, **sizes(tokens, head))
    return mixed, norms


@_attend.register_fake
def _(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    count, tokens, width = qkv.shape
    return qkv.new_empty(count, tokens, width // 3), qkv.new_empty(count, heads, tokens, dtype=torch.float32)


@torch.library.custom_op("diffclip::attend_short_backward", mutates_args=())
def _attend_backward(grad: Tensor, qkv: Tensor, norms: Tensor, heads: int) -> Tensor:
    count, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    qkv, grad, head = qkv.contiguous(), grad.contiguous(), width // heads
    grads = torch.empty_like(qkv)
    kernels.backward[(count * heads,)](qkv, norms, grad, grads, tokens, heads, head**-0.5, **sizes(tokens, head))
    return grads


@_attend_backward.register_fake
def _(grad: Tensor, qkv: Tensor, norms: Tensor, heads: int) -> Tensor:
    return torch.empty_like(qkv, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0], output[1])
    ctx.heads = inputs[1]


def _gradient(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
    qkv, norms = ctx.saved_tensors
    return _attend_backward(grad, qkv, norms, ctx.heads), None


_attend.register_autograd(_gradient, setup_context=_keep)


@register_flop_formula(torch.ops.diffclip.attend_short)
def _flop(qkv: torch.Size, heads: int, **_: Any) -> int:
    count, tokens, width = qkv[0], qkv[1], qkv[2] // 3
    return 2 * 2 * count * tokens * tokens * width


@register_flop_formula(torch.ops.diffclip.attend_short_backward)
def _flop_backward(grad: torch.Size, qkv: torch.Size, norms: torch.Size, heads: int, **_: Any) -> int:
    return 5 * _flop(qkv, heads) // 2


def serves(tokens: int, head: int, dtype: torch.dtype) -> bool:
    """Tell whether the kernels attend sequences of so many tokens, with heads of so many channels, in a precision."""
    return tokens <= MOST_TOKENS and head in HEADS and dtype == torch.bfloat16


def attend_short(qkv: Float[Tensor, "n T 3D"], heads: int) -> Float[Tensor, "n T D"]:
    """Let every token of a sequence ask all of them, by scaled dot products.

    Args:
        qkv: in bfloat16: queries, keys and values of all heads, side by side.
        heads: number of heads.
    """
    return _attend(qkv, heads)[0]

"""Kernels for short sequences attend as torch does, forwards and back.

On a GPU they run as they are. Elsewhere Triton's interpreter runs them, in a process of its own (see test_kernels.py)
that knows of it before Triton is imported; it multiplies no bfloat16, so numbers are float16 there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from diffclip import attention
from diffclip.attention import self_attend, short_kernels
from diffclip.layers import Attention, Block

pytest.importorskip("triton")

ON_GPU = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE, HALF = ("cuda", torch.bfloat16) if ON_GPU else ("cpu", torch.float16)

pytestmark = pytest.mark.skipif(
    not (ON_GPU or INTERPRETED), reason="no GPU: Triton's interpreter runs these for test_kernels.py"
)


@pytest.fixture
def kernels_on(monkeypatch) -> Iterator[None]:
    """Let the kernels serve whatever half precision the device has."""
    from diffclip import short_attention

    monkeypatch.setattr(short_attention, "serves", lambda _tokens, _head, dtype: dtype == HALF)
    with short_kernels(True):
        yield


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, HALF)


def by_torch(
    qkv: torch.Tensor, heads: int, grad: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what torch's kernel mixes in a precision, and the gradient."""
    qkv = qkv.detach().to(dtype).requires_grad_()
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    mixed.backward(grad.to(dtype))
    return mixed.detach(), qkv.grad


@pytest.mark.parametrize("scale", [1.0, 12.0])
@pytest.mark.parametrize(
    ("tokens", "head", "heads"), [(1, 16, 2), (16, 16, 1), (37, 16, 3), (122, 16, 2), (128, 32, 1)]
)
def test_errors_are_no_larger_than_torchs_in_the_same_precision(tokens, head, heads, scale):
    from diffclip.short_attention import attend_short

    qkv = (drawn(3, tokens, 3 * heads * head) * scale**0.5).requires_grad_()
    grad = drawn(3, tokens, heads * head, seed=1)
    mixed = attend_short(qkv, heads)
    mixed.backward(grad)
    exact = by_torch(qkv, heads, grad, torch.float64)
    halves = by_torch(qkv, heads, grad, HALF)
    for found, same, true in zip((mixed, qkv.grad), halves, exact, strict=True):
        assert found.dtype == HALF
        ours, theirs = ((x.double() - true).square().mean().sqrt() for x in (found, same))
        assert ours <= 1.2 * theirs + 1e-6 * true.abs().mean()


def test_sequences_and_heads_do_not_mix():
    from diffclip.short_attention import attend_short

    qkv = drawn(4, 37, 3 * 2 * 16)
    other = qkv.clone()
    other[1] = 0
    other.view(4, 37, 3, 2, 16)[:, :, :, 1] = 0
    changed = (attend_short(qkv, 2) != attend_short(other, 2)).view(4, 37, 2, 16).flatten(2).any(1)
    assert changed[1].any()
    assert not changed[[0, 2, 3], :16].any()


def test_what_lies_beside_the_tokens_is_left_alone():
    """Nothing is read or written in front of or behind the arrays that are handed in."""
    from diffclip import kernels
    from diffclip.short_attention import attend_short, sizes

    qkv, grad = drawn(2, 5, 3 * 16), drawn(2, 5, 16, seed=1)
    around = torch.full((6, 5, 3 * 16), torch.nan, device=DEVICE, dtype=HALF)
    around[2:4] = qkv
    inside, norms = around[2:4], torch.full((6, 1, 5), torch.nan, device=DEVICE)
    mixed = torch.full((6, 5, 16), torch.nan, device=DEVICE, dtype=HALF)
    kernels.forward[(2,)](inside, mixed[2:4], norms[2:4], 5, 1, 0.25, **sizes(5, 16))
    torch.testing.assert_close(mixed[2:4], attend_short(qkv, 1), rtol=0, atol=0)
    grads = torch.full_like(around, torch.nan)
    kernels.backward[(2,)](inside, norms[2:4], grad, grads[2:4], 5, 1, 0.25, **sizes(5, 16))
    for array in (mixed, norms, grads):
        assert array[2:4].isfinite().all()
        assert array[[0, 1, 4, 5]].isnan().all()


def test_what_is_no_number_stays_so_in_its_own_sequence_and_head(kernels_on):
    qkv = drawn(2, 9, 3 * 2 * 16)
    qkv[1, 4, 0] = torch.nan
    mixed = self_attend(qkv, 2)
    assert mixed[1, 4, :16].isnan().all()
    assert mixed[1, 4, 16:].isfinite().all()
    assert mixed[0].isfinite().all()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_block_learns_as_with_torchs_kernel(kernels_on, compiled):
    torch.manual_seed(0)
    block, x = Block(32, 2, 2.0).to(DEVICE), torch.randn(2, 3, 37, 32, device=DEVICE)
    # Torch's own compiler up to the kernels, which need a C compiler on a CPU.
    forward = torch.compile(block, fullgraph=True, backend="aot_eager") if compiled else block
    found = []
    for wanted, run in ((True, forward), (False, block)):
        with torch.autocast(DEVICE, HALF), pytest.MonkeyPatch.context() as patch:
            if not wanted:
                patch.setattr(attention._Switch, "kernels", None)
            run(x).square().mean().backward()
        found.append([weight.grad.clone() for weight in block.parameters()])
        block.zero_grad()
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))
    # The last digits tell which kernel was at work.
    assert not torch.equal(found[0][-1], found[1][-1]) or not torch.equal(found[0][2], found[1][2])


def test_operations_are_counted_as_torchs_are(kernels_on):
    layer, x = Attention(32, 2).to(DEVICE, HALF), drawn(3, 37, 32)
    counts = []
    for switched in (True, False):
        with pytest.MonkeyPatch.context() as patch, FlopCounterMode(display=False) as counter:
            if not switched:
                patch.setattr(attention._Switch, "kernels", None)
            layer(x).sum().backward()
        counts.append(counter.get_flop_counts()["Global"])
    ours = {str(name).split(".")[-1]: count for name, count in counts[0].items()}
    assert ours["attend_short"] == 2 * 2 * 3 * 37 * 37 * 32
    assert ours["attend_short_backward"] == 2.5 * ours["attend_short"]

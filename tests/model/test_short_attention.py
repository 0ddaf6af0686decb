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
    asking: torch.Tensor, asked: torch.Tensor, heads: int, grad: torch.Tensor, dtype: torch.dtype
) -> list[torch.Tensor]:
    """Return what torch's kernel mixes in a precision, and the gradients."""
    inputs = [x.detach().to(dtype).requires_grad_() for x in (asking, asked)]
    (query,), (key, value) = (
        x.unflatten(-1, (count, heads, -1)).permute(2, 0, 3, 1, 4) for x, count in zip(inputs, (1, 2), strict=True)
    )
    mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    mixed.backward(grad.to(dtype))
    return [mixed.detach(), *(x.grad for x in inputs)]


def errors_of(found: list[torch.Tensor], exact: list[torch.Tensor]) -> list[float]:
    return [float((x.detach().double() - true).square().mean().sqrt()) for x, true in zip(found, exact, strict=True)]


@pytest.mark.parametrize("scale", [1.0, 12.0])
@pytest.mark.parametrize(
    ("asking", "tokens", "head", "heads"),
    [
        *((1, 1, 16, 2), (16, 16, 16, 1), (37, 37, 16, 3), (122, 122, 16, 2), (128, 128, 32, 1)),
        *((1, 122, 16, 2), (2, 37, 16, 3), (17, 128, 32, 1)),
    ],
)
def test_errors_are_no_larger_than_torchs_in_the_same_precision(asking, tokens, head, heads, scale):
    from diffclip import short_attention

    width = heads * head
    queries, others = drawn(3, asking, width) * scale**0.5, drawn(3, tokens, 2 * width, seed=1) * scale**0.5
    grad = drawn(3, asking, width, seed=2)
    if asking == tokens:
        qkv = torch.cat([queries, others], -1).requires_grad_()
        mixed = short_attention.self_attend(qkv, heads)
        mixed.backward(grad)
        found = [mixed, qkv.grad[..., :width], qkv.grad[..., width:]]
    else:
        inputs = [x.requires_grad_() for x in (queries, others)]
        mixed = short_attention.attend(*inputs, heads)
        mixed.backward(grad)
        found = [mixed, *(x.grad for x in inputs)]
    assert {x.dtype for x in found} == {HALF}
    exact = by_torch(queries, others, heads, grad, torch.float64)
    ours, theirs = (errors_of(x, exact) for x in (found, by_torch(queries, others, heads, grad, HALF)))
    for one, other, true in zip(ours, theirs, exact, strict=True):
        assert one <= 1.2 * other + 1e-6 * float(true.abs().mean())


def test_sequences_and_heads_do_not_mix():
    from diffclip import short_attention

    qkv = drawn(4, 37, 3 * 2 * 16)
    other = qkv.clone()
    other[1] = 0
    other.view(4, 37, 3, 2, 16)[:, :, :, 1] = 0
    changed = short_attention.self_attend(qkv, 2) != short_attention.self_attend(other, 2)
    assert changed[1].any(0).all()
    assert changed[..., 16:].flatten(0, 1).any(0).all()
    assert not changed[[0, 2, 3], :, :16].any()


@pytest.mark.parametrize("asking", [5, 2])
def test_what_lies_beside_the_arrays_is_left_alone(asking):
    """Nothing is read or written in front of or behind what is handed in."""
    from diffclip import short_attention

    def within(x: torch.Tensor) -> torch.Tensor:
        around = torch.full((len(x) + 4, *x.shape[1:]), torch.nan, device=DEVICE, dtype=x.dtype)
        around[2:-2] = x
        arounds.append(around)
        return around[2:-2]

    arounds: list[torch.Tensor] = []
    queries, asked = within(drawn(2, asking, 32)), within(drawn(2, 5, 64, seed=1))
    expected = short_attention._mixed(queries, asked, 2)
    mixed, norms = (within(torch.zeros_like(x)) for x in expected)
    arrays = (queries, asked, mixed, norms)
    short_attention.kernels.forward[(4,)](*arrays, **short_attention._numbers(queries, asked, 2))
    torch.testing.assert_close((mixed, norms), expected, rtol=0, atol=0)
    into = within(torch.zeros_like(queries)), within(torch.zeros_like(asked))
    short_attention._back(queries, asked, norms, within(drawn(2, asking, 32, seed=2)), into)
    assert all(x.count_nonzero() == x.numel() for x in into)
    for around in arounds:
        assert around[2:-2].isfinite().all()
        assert around[[0, 1, -2, -1]].isnan().all()


def test_the_stride_of_an_axis_with_one_row_does_not_count():
    from diffclip import short_attention

    queries, asked, grad = drawn(4, 1, 32), drawn(4, 1, 64, seed=1), drawn(4, 1, 32, seed=2)
    found = []
    for step in (None, 128):
        inputs = [x if step is None else x.as_strided(x.shape, (x.stride(0), step, 1)) for x in (queries, asked)]
        inputs = [x.detach().requires_grad_() for x in inputs]
        mixed = short_attention.attend(*inputs, 2)
        found.append([mixed, *torch.autograd.grad(mixed, inputs, grad)])
    assert all(map(torch.equal, *found))


def test_what_is_no_number_stays_so_in_its_own_sequence_and_head(kernels_on):
    qkv = drawn(2, 9, 3 * 2 * 16)
    qkv[1, 4, 0] = torch.nan
    mixed = self_attend(qkv, 2)
    assert mixed[1, 4, :16].isnan().all()
    assert mixed[1, 4, 16:].isfinite().all()
    assert mixed[0].isfinite().all()


@pytest.mark.parametrize("read", [False, True], ids=["all", "some"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_block_learns_as_with_torchs_kernel(kernels_on, compiled, read):
    torch.manual_seed(0)
    block, x = Block(32, 2, 2.0).to(DEVICE), torch.randn(2, 3, 37, 32, device=DEVICE)
    places = torch.tensor([4, 0], device=DEVICE).expand(2, 3, 2) if read else None
    # Torch's own compiler up to the kernels, which need a C compiler on a CPU.
    forward = torch.compile(block, fullgraph=True, backend="aot_eager") if compiled else block
    found = []
    for wanted, run in ((True, forward), (False, block)):
        with torch.autocast(DEVICE, HALF), pytest.MonkeyPatch.context() as patch:
            if not wanted:
                patch.setattr(attention._switch, "kernels", None)
            run(x, read=places).square().mean().backward()
        found.append([weight.grad.clone() for weight in block.parameters()])
        block.zero_grad()
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))
    # The last digits tell that another kernel was at work.
    assert any(not torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


@pytest.mark.parametrize(("asking", "name"), [(37, "self_attend_short"), (2, "attend_short")])
def test_operations_of_matrix_products_are_counted(kernels_on, asking, name):
    layer, x = Attention(32, 2).to(DEVICE, HALF), drawn(3, 37, 32)
    read = None if asking == 37 else torch.zeros(3, asking, dtype=torch.long, device=DEVICE)
    with FlopCounterMode(display=False) as counter:
        layer(x, read=read).sum().backward()
    counts = {str(key).split(".")[-1]: count for key, count in counter.get_flop_counts()["Global"].items()}
    product = 2 * 3 * asking * 37 * 32
    assert counts[name] == 2 * product
    # The scores once more, and the gradients of shares, queries, keys and values.
    assert counts[f"{name}_backward"] == 5 * product

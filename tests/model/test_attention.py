"""Attention by each kernel is scaled dot-product attention."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from diffclip import attention
from diffclip.attention import attend
from diffclip.layers import Attention


def test_attention_over_more_sequences_than_a_kernel_takes_is_done_in_parts(monkeypatch):
    layer, x = Attention(8, 2), torch.randn(7, 5, 8)
    expected = layer(x)
    monkeypatch.setattr(attention, "_MOST_SEQUENCES", 3)
    torch.testing.assert_close(layer(x), expected)


def test_where_the_memory_efficient_kernel_is_preferred_there_is_another_to_go_on_with(monkeypatch):
    offered = []

    def noted(query, key, value, *, is_causal):
        offered.append([torch.backends.cuda.mem_efficient_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()])
        return query

    class OnGPU(torch.Tensor):
        device = torch.device("cuda")

    monkeypatch.setattr(attention, "scaled_dot_product_attention", noted)
    short = torch.zeros(1, 4, 37, 4, dtype=torch.bfloat16).as_subclass(OnGPU)
    attention._attended(short, short, short)
    assert offered == [[True, True]]


def test_no_sequences_are_attended_to_none():
    none = torch.zeros(0, 2, 5, 4, dtype=torch.bfloat16)
    with torch.no_grad():
        assert attended(none, none, none).shape == none.shape


def test_attention_in_half_precision_on_a_cpu_is_near_that_in_single(monkeypatch):
    layer, x = Attention(16, 2), torch.randn(7, 9, 16)
    expected = layer(x)
    found = []
    for at_once in (8, 3):
        monkeypatch.setattr(attention, "_IN_CACHE", at_once)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(layer(x))
    assert found[0].dtype == torch.bfloat16
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0].float(), expected, rtol=0.02, atol=0.02)
    assert not torch.equal(found[0].float(), expected)


def attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attend (n, heads, tokens, channels) tensors."""
    asking, *asked = (x.transpose(1, 2).flatten(2) for x in (query, key, value))
    return attend(asking, torch.cat(asked, -1), query.shape[1]).view(query.transpose(1, 2).shape).transpose(1, 2)


def halves_of(scale: float) -> list[torch.Tensor]:
    """Queries, keys and values in half precision whose scores spread by about `scale`."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 20, 4, 122, 16, generator=generator).bfloat16()
    return [query * scale, key, value]


@pytest.mark.parametrize("scale", [0.01, 1.0, 8.0])
def test_attention_without_gradients_in_half_precision_is_as_near_as_with_them(scale):
    given = halves_of(scale)
    exact = scaled_dot_product_attention(*(x.double() for x in given))
    shifted = attended(*given)
    with torch.no_grad():
        found = attended(*given)
    assert found.dtype == torch.bfloat16
    assert not torch.equal(found, shifted)
    errors = [(x.double() - exact).square().mean().sqrt() for x in (found, shifted)]
    assert errors[0] < 1.5 * errors[1]


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_whose_exponentials_leave_the_range_are_shifted_first(sign):
    query, key, value = halves_of(0.01)
    # Scores of one row of one sequence alone: about 100, or -100.
    key[11, 2, :, 0] = 20
    query[11, 2, 5, 0] = 20 * sign
    exact = scaled_dot_product_attention(query.double(), key.double(), value.double())
    with torch.no_grad():
        found = attended(query, key, value)
    assert found.isfinite().all()
    torch.testing.assert_close(found.double(), exact, rtol=0.02, atol=0.02)


def test_what_is_no_number_stays_so_in_half_precision():
    query, key, value = halves_of(1.0)
    query[3, 1, 7] = math.nan
    with torch.no_grad():
        found = attended(query, key, value)
    assert found[3, 1, 7].isnan().all()
    assert found[3, 1, 8:].isfinite().all()

"""Leaf layers do what torch's own do, whatever axes stand before the ones they name."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from diffclip.layers import Attention, BatchNorm, Block, QuickGELU, Scale, Table, take, xavier


def test_batch_norm_of_the_last_axis_is_torchs_over_everything_before_it():
    ours, theirs = BatchNorm(6), nn.BatchNorm1d(6)
    for _ in range(3):
        x = torch.randn(2, 3, 5, 6) * torch.arange(1, 7) + torch.arange(6)
        torch.testing.assert_close(ours(x), theirs(x.reshape(30, 6)).reshape(2, 3, 5, 6))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    assert not torch.equal(ours.running_mean, torch.zeros(6))
    ours.eval(), theirs.eval()
    x = torch.randn(4, 6)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs_multi_head_attention(causal):
    ours, theirs = Attention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(4, 7, 12)
    mask = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(x, x, x, attn_mask=mask, need_weights=False)
    torch.testing.assert_close(ours(x, causal=causal), expected, rtol=1e-5, atol=1e-6)


def test_attention_is_a_softmax_over_scaled_products_per_head():
    attention = Attention(4, 2).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    query, key, value = attention.qkv(x).split(4, -1)
    mixed = torch.zeros(3, 4, dtype=torch.float64)
    for head in (slice(0, 2), slice(2, 4)):
        for i in range(3):
            weights = torch.stack([(query[i, head] * key[j, head]).sum() / math.sqrt(2) for j in range(3)]).exp()
            mixed[i, head] = sum(weights[j] / weights.sum() * value[j, head] for j in range(3))
    torch.testing.assert_close(attention(x), attention.out(mixed))


@pytest.mark.parametrize("causal", [False, True])
def test_leading_axes_of_a_block_are_as_good_as_a_loop(causal):
    block = Block(8, 2, mlp_ratio=2.0).double()
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    expected = torch.stack([torch.stack([block(x[i, j], causal=causal) for j in range(3)]) for i in range(2)])
    torch.testing.assert_close(block(x, causal=causal), expected)


def test_a_causal_block_does_not_see_what_comes_later():
    block = Block(8, 2, mlp_ratio=2.0)
    x = torch.randn(6, 8)
    changed = x.clone()
    changed[4:] = torch.randn(2, 8)
    torch.testing.assert_close(block(x, causal=True)[:4], block(changed, causal=True)[:4], rtol=0, atol=0)
    assert not torch.allclose(block(x)[:4], block(changed)[:4])


def test_a_block_adds_attention_and_mlp_of_normalised_tokens():
    block = Block(8, 2, mlp_ratio=2.0)
    for norm in (block.norm1, block.norm2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)

    def normalised(x, norm):
        return (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias

    x = torch.randn(5, 8)
    middle = x + block.attention(normalised(x, block.norm1))
    expected = middle + block.mlp(normalised(middle, block.norm2))
    torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)


def test_width_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="width 10 is not divisible by 4 heads"):
        Attention(10, 4)


def test_quick_gelu_is_clips_formula():
    torch.testing.assert_close(QuickGELU()(torch.tensor([0.0, 1.0])), torch.tensor([0.0, 1 / (1 + math.exp(-1.702))]))


def test_a_scale_learns_its_logarithm():
    scale = Scale(14.0)
    assert scale().item() == pytest.approx(14.0, rel=1e-6)
    scale().backward()
    assert scale.weight.grad.item() == pytest.approx(14.0, rel=1e-6)


def test_a_fixed_table_gets_no_gradient_and_keeps_its_own_copy():
    initial = torch.randn(3, 4)
    fixed, learned = Table(initial, learned=False), Table(initial)
    initial += 1
    assert not fixed.weight.requires_grad
    assert learned.weight.requires_grad
    torch.testing.assert_close(fixed(), initial - 1)


def test_xavier_touches_linear_layers_alone():
    model = nn.Sequential(nn.Linear(50, 30), nn.LayerNorm(30))
    xavier(model)
    bound = math.sqrt(6 / 80)
    assert 0.95 * bound < model[0].weight.abs().max() <= bound
    assert not model[0].bias.any()
    assert model[1].weight.eq(1).all()


def test_a_causal_layer_is_asked_for_all_tokens():
    with pytest.raises(ValueError, match="causal attention reads all tokens"):
        Attention(8, 2)(torch.zeros(1, 3, 8), causal=True, read=torch.zeros(1, 1, dtype=torch.long))


def test_a_block_asked_for_some_tokens_gives_the_same_ones():
    block, x = Block(8, 2, 2.0).double(), torch.randn(2, 3, 5, 8, dtype=torch.float64)
    read = torch.randint(5, (2, 3, 2))
    torch.testing.assert_close(block(x, read=read), take(block(x), read))

"""Which tokens stay visible is a fair and exact draw."""

from __future__ import annotations

import pytest
import torch

from diffclip.layers import take
from diffclip.model.masking import kept_tokens


@pytest.mark.parametrize(
    ("tokens", "mask_ratio", "expected"),
    [(121, 0.7, 36), (25, 0.7, 7), (25, 0.0, 25), (25, 0.8, 5), (10, 0.9, 1), (4, 0.99, 1), (121, 0.5, 60)],
)
def test_the_share_that_is_kept_is_rounded_down_to_whole_tokens_but_never_to_none(tokens, mask_ratio, expected):
    kept = kept_tokens(torch.rand(3, tokens), mask_ratio)
    assert kept.index.shape == (3, expected)
    assert kept.hidden.sum(-1).tolist() == [tokens - expected] * 3


def test_hidden_is_the_complement_of_kept():
    kept = kept_tokens(torch.rand(4, 5, 25), 0.7)
    for index, hidden in zip(kept.index.flatten(0, 1).tolist(), kept.hidden.flatten(0, 1).tolist(), strict=True):
        assert len(set(index)) == len(index)
        assert sorted(index) == [place for place in range(25) if not hidden[place]]


def test_the_smallest_draws_are_kept():
    kept = kept_tokens(torch.tensor([0.9, 0.1, 0.5, 0.3]), 0.5)
    assert kept.index.tolist() == [1, 3]
    assert kept.hidden.tolist() == [True, False, True, False]


def test_every_token_is_kept_equally_often():
    hidden = kept_tokens(torch.rand(20000, 25), 0.7).hidden
    share = 1 - hidden.float().mean(0)
    # Four standard deviations of a share of 7 / 25 in 20,000 draws.
    torch.testing.assert_close(share, torch.full((25,), 7 / 25), rtol=0, atol=4 * (0.28 * 0.72 / 20000) ** 0.5)


def test_tokens_are_taken_from_their_own_window_and_place():
    tokens = torch.arange(2 * 3 * 6).reshape(2, 3, 6)[..., None] * torch.tensor([1.0, -1.0])
    index = torch.rand(2, 3, 6).argsort(-1)[..., :2]
    taken = take(tokens, index)
    for i in range(2):
        for j in range(3):
            for k in range(2):
                assert taken[i, j, k, 0] == 18 * i + 6 * j + index[i, j, k]
                assert taken[i, j, k, 1] == -taken[i, j, k, 0]


def test_without_exactness_a_floating_point_product_is_rounded_down():
    draw = torch.rand(3, 25)
    for mask_ratio in (0.0, 0.2, 0.5, 0.7, 0.8, 0.9):
        kept = kept_tokens(draw, mask_ratio, exact=False)
        assert kept.index.shape[-1] == int(25 * (1 - mask_ratio))
    assert kept_tokens(draw, 0.8, exact=False).index.shape[-1] == 4


def test_the_restore_order_shows_the_ranks_of_the_first_tokens():
    draw = torch.tensor([0.9, 0.1, 0.5, 0.3])
    kept = kept_tokens(draw, 0.5, restore_order=True)
    assert kept.index.tolist() == [1, 3]
    assert kept.seen.tolist() == [3, 0]
    assert kept_tokens(draw, 0.5).seen.tolist() == [1, 3]

"""Positions, time and tokens stand where they should."""

from __future__ import annotations

import math

import pytest
import torch

from diffclip.layers import Table
from diffclip.model.embedding import ModalityEmbedding, TimeEmbedding, beside, grid_positions


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (2, 0), (4, 1)])
def test_positions_are_sines_and_cosines_of_column_then_row(row, column):
    found = grid_positions(5, 8)[1 + 5 * row + column]
    expected = [
        *(math.sin(column), math.sin(column / 100), math.cos(column), math.cos(column / 100)),
        *(math.sin(row), math.sin(row / 100), math.cos(row), math.cos(row / 100)),
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_class_token_has_no_place_on_the_grid():
    positions = grid_positions(3, 16)
    assert positions.shape == (10, 16)
    assert not positions[0].any()
    assert len(positions.unique(dim=0)) == 10


def test_positions_need_a_width_of_four_parts():
    with pytest.raises(ValueError, match="width: found 10, expected a multiple of 4"):
        grid_positions(3, 10)


def test_time_starts_as_cosines_and_sines_of_256_rates():
    seen = []
    time = TimeEmbedding(16)
    time.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    time(torch.tensor([7]))
    rates = [10000 ** (-k / 128) for k in range(128)]
    expected = [math.cos(7 * rate) for rate in rates] + [math.sin(7 * rate) for rate in rates]
    torch.testing.assert_close(seen[0], torch.tensor([expected]), rtol=0, atol=1e-5)


def test_every_step_has_a_time_embedding_of_its_own():
    with torch.no_grad():
        embedded = TimeEmbedding(16)(torch.arange(1000))
    distances = torch.cdist(embedded, embedded) + torch.eye(1000) * 1e9
    assert distances.min() > 1e-4


@pytest.mark.parametrize(("window", "token_size"), [(3, 1), (4, 2), (9, 3)])
def test_a_token_is_a_linear_map_of_its_own_pixels_row_by_row(window, token_size):
    embed = ModalityEmbedding(2, window, token_size, stem=4, width=8).eval()
    pixels = torch.randn(window, window, 2)
    side = window // token_size
    with torch.no_grad():
        stem = embed.stem(pixels)
        found = embed(pixels.flatten(0, 1)) - embed.positions()[1:]
        for row in range(side):
            for column in range(side):
                rows = slice(row * token_size, (row + 1) * token_size)
                columns = slice(column * token_size, (column + 1) * token_size)
                expected = embed.tokens(stem[rows, columns].reshape(-1))
                torch.testing.assert_close(found[row * side + column], expected)


def test_with_tokens_of_two_pixels_one_pixel_changes_the_token_that_holds_it():
    embed = ModalityEmbedding(2, 4, 2, stem=4, width=8).eval()
    pixels = torch.randn(4, 4, 2)
    changed = pixels.clone()
    changed[1, 2] += 1.0
    difference = (embed(pixels.flatten(0, 1)) - embed(changed.flatten(0, 1))).abs().amax(-1)
    assert difference.nonzero().flatten().tolist() == [1]


def test_a_window_that_tokens_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="token_size: found 2, expected a divisor of the window 5"):
        ModalityEmbedding(2, 5, 2, stem=4, width=8)


def test_the_summary_token_is_class_token_and_time():
    embed = ModalityEmbedding(2, 3, 1, stem=4, width=8)
    time = torch.tensor([3, 900])
    found = embed.summary_token(time)
    torch.testing.assert_close(found, (embed.class_token() + embed.time(time))[:, None])


@pytest.mark.parametrize("learned", [False, True])
def test_positions_are_learned_when_asked_for(learned):
    embed = ModalityEmbedding(2, 3, 1, stem=4, width=8, learned_positions=learned)
    assert embed.positions.weight.requires_grad is learned


def test_a_table_per_seed_meets_the_batch_of_its_seed():
    tables, batch = torch.randn(2, 3, 4), torch.zeros(2, 5, 3, 4)
    torch.testing.assert_close(batch + beside(tables, batch), tables[:, None].expand(2, 5, 3, 4))
    one = Table(torch.randn(3, 4))()
    torch.testing.assert_close(batch + beside(one, batch), one.expand(2, 5, 3, 4))

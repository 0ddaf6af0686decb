"""A text's embedding depends on the text alone."""

from __future__ import annotations

import pytest
import torch

from diffclip.language.tokenizer import CONTEXT, tokenize
from diffclip.language.tower import Ensemble, TextTower, mean_embedding
from diffclip.layers import QuickGELU

TEXTS = ["a patch of a tree.", "water", "a fine grained patch of a parking lot with cars on it."]


@pytest.fixture
def tower() -> TextTower:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextTower(vocabulary=60, width=16, depth=3, heads=4, embedding=10).double()


@pytest.fixture
def ids() -> torch.Tensor:
    return tokenize(TEXTS).ids


def test_what_stands_after_the_end_cannot_matter(tower, ids):
    end = ids.argmax(-1)
    behind = torch.arange(ids.shape[1]) > end[:, None]
    assert behind.any()
    torch.testing.assert_close(tower(torch.where(behind, 1, ids)), tower(ids))


def test_what_stands_before_the_end_matters(tower, ids):
    changed = ids.clone()
    changed[:, 1] = (ids[:, 1] + 1) % ids.max()
    assert (tower(changed) - tower(ids)).abs().amax(-1).gt(1e-6).all()


def test_texts_padded_to_the_whole_context_embed_as_cut_ones(tower, ids):
    padded = torch.zeros(len(TEXTS), CONTEXT, dtype=torch.long)
    padded[:, : ids.shape[1]] = ids
    torch.testing.assert_close(tower(padded), tower(ids))


def test_texts_embed_together_as_one_by_one(tower, ids):
    alone = [tower(row[None, : row.argmax() + 1]) for row in ids]
    torch.testing.assert_close(tower(ids), torch.cat(alone))


def test_the_embedding_is_the_projected_feature_at_the_end(tower, ids):
    x = tower.tokens(ids[1]) + tower.positions()[: ids.shape[1]]
    for block in tower.blocks:
        x = block(x, causal=True)
    torch.testing.assert_close(tower(ids)[1], tower.projection.weight @ tower.norm(x[ids[1].argmax()]))


def test_blocks_are_clips(tower):
    for block in tower.blocks:
        assert isinstance(block.mlp[1], QuickGELU)
        assert block.mlp[0].out_features == 4 * 16
        assert block.norm1.eps == block.norm2.eps == tower.norm.eps == 1e-5


def test_order_of_words_matters(tower):
    ids = torch.tensor([[0, 3, 4, 9], [0, 4, 3, 9]])
    first, second = tower(ids)
    assert not torch.allclose(first, second)


def test_weights_start_with_clips_deviations():
    tower = TextTower(vocabulary=400, width=64, depth=8, heads=4, embedding=64)
    block = tower.blocks[3]
    expected = {
        tower.tokens.weight: 0.02,
        tower.positions.weight: 0.01,
        block.attention.qkv.weight: 64**-0.5,
        block.attention.out.weight: 64**-0.5 / 4,
        block.mlp[0].weight: 128**-0.5,
        block.mlp[2].weight: 64**-0.5 / 4,
        tower.projection.weight: 64**-0.5,
    }
    for weight, deviation in expected.items():
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert not block.attention.qkv.bias.any()
    assert not block.attention.out.bias.any()


def test_an_ensemble_is_the_mean_of_normalised_embeddings(tower, ids):
    texts = ids[[0, 1, 2, 0, 2, 1]]
    found = Ensemble(tower, sets=2)(texts)
    units = [row / row.norm() for row in tower(texts)]
    torch.testing.assert_close(found, torch.stack([(units[k] + units[k + 3]) / 2 for k in range(3)]))


def test_the_mean_over_one_set_is_the_normalised_embedding(tower, ids):
    embeddings = tower(ids)
    torch.testing.assert_close(mean_embedding(embeddings, 1), embeddings / embeddings.norm(dim=-1, keepdim=True))

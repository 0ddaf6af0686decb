"""The text tower of DiffCLIP's released code: a small causal transformer trained from scratch."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from diffclip.language.tokenizer import CONTEXT
from diffclip.layers import Block, QuickGELU, Table, take


class TextTower(nn.Module):
    """CLIP's text transformer (Radford et al. 2021), small: the feature at the end of text, projected.

    Args:
        vocabulary: number of different tokens.
        width, depth, heads: of the transformer.
        embedding: E, width of the joint space.
        context: longest text in tokens.
    """

    def __init__(
        self, vocabulary: int, width: int, depth: int, heads: int, embedding: int, context: int = CONTEXT
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = Table(torch.empty(context, width).normal_(std=0.01))
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4.0, eps=1e-5, activation=QuickGELU) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, embedding, bias=False)
        self._initialise(width, depth)

    def _initialise(self, width: int, depth: int) -> None:
        """Give the weights CLIP's initial deviations: residual branches shrink with depth."""
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.projection.weight, std=width**-0.5)
        deviations = {
            "attention.qkv": width**-0.5,
            "attention.out": width**-0.5 * (2 * depth) ** -0.5,
            "mlp.0": (2 * width) ** -0.5,
            "mlp.2": width**-0.5 * (2 * depth) ** -0.5,
        }
        for block in self.blocks:
            for layer, deviation in deviations.items():
                nn.init.normal_(block.get_parameter(f"{layer}.weight"), std=deviation)
            nn.init.zeros_(block.get_parameter("attention.qkv.bias"))
            nn.init.zeros_(block.get_parameter("attention.out.bias"))

    def forward(self, ids: Int64[Tensor, "*seeds K L"]) -> Float[Tensor, "*seeds K E"]:
        """Return the embeddings of K texts; the end of a text is its row's highest id."""
        tokens = self.tokens(ids) + self.positions()[..., None, : ids.shape[-1], :]
        for block in self.blocks:
            tokens = block(tokens, causal=True)
        return self.projection(self.norm(take(tokens, ids.argmax(-1, keepdim=True)))[..., 0, :])


def mean_embedding(embeddings: Float[Tensor, "*batch PK E"], sets: int) -> Float[Tensor, "*batch K E"]:
    """Return the mean of a class's normalised embeddings over P prompt sets.

    Args:
        embeddings: of P * K texts, all classes of one set after the other.
        sets: P.
    """
    return normalize(embeddings, dim=-1).unflatten(-2, (sets, -1)).mean(-3)


class Ensemble(nn.Module):
    """A text tower over several prompt sets: a class is the mean of its normalised embeddings.

    Args:
        tower: gives the embeddings (P * K, E) of all texts.
        sets: P.
    """

    def __init__(self, tower: nn.Module, sets: int) -> None:
        super().__init__()
        self.tower = tower
        self.sets = sets

    def forward(self, ids: Int64[Tensor, "*seeds PK L"]) -> Float[Tensor, "*seeds K E"]:
        """Return the embeddings of K classes; texts come as for `mean_embedding`."""
        return mean_embedding(self.tower(ids), self.sets)

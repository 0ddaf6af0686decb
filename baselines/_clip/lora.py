"""Low-rank updates of the attention layers of CLIP's two transformers."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, scaled_dot_product_attention

from diffclip.errors import UserError


class LoraAttention(nn.Module):
    """Frozen multi-head self-attention whose query, key and value projections get low-rank updates.

    W x becomes W x + scale B A dropout(x); B starts at 0, so that at first nothing changes.

    Args:
        attention: torch's, batch first.
        rank: of the updates.
        alpha: their scale is alpha / sqrt(rank).
        dropped: share of inputs of the updates that training drops.
    """

    def __init__(self, attention: nn.MultiheadAttention, rank: int, alpha: float, dropped: float) -> None:
        super().__init__()
        width = attention.embed_dim
        self.attention = attention
        self.scale = alpha / math.sqrt(rank)
        self.dropped = dropped
        self.down = nn.Parameter(torch.empty(3, rank, width))
        self.up = nn.Parameter(torch.zeros(3, width, rank))
        for each in self.down:
            nn.init.kaiming_uniform_(each, a=math.sqrt(5))

    def forward(
        self,
        query: Float[Tensor, "n L W"],
        key: Float[Tensor, "n L W"],
        value: Float[Tensor, "n L W"],
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Float[Tensor, "n L W"], None]:
        """Return what torch's attention returns; all three inputs are the same."""
        weights, biases = self.attention.in_proj_weight.chunk(3), self.attention.in_proj_bias.chunk(3)
        projected = []
        for place, inputs in enumerate((query, key, value)):
            update = linear(linear(dropout(inputs, self.dropped, self.training), self.down[place]), self.up[place])
            found = linear(inputs, weights[place], biases[place]) + self.scale * update
            projected.append(found.unflatten(-1, (self.attention.num_heads, -1)).transpose(1, 2))
        queries, keys, values = projected
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask)
        return self.attention.out_proj(mixed.transpose(1, 2).flatten(2)), None


def with_lora(model: Any, rank: int, alpha: float, dropped: float) -> tuple[Any, list[nn.Parameter]]:
    """Return a copy of a CLIP with low-rank updates in all attention layers of both towers, and their parameters.

    Raises:
        UserError: the image tower has no such layers (only vision transformers do).
    """
    adapted = copy.deepcopy(model)
    found = [
        (parent, name)
        for parent in adapted.modules()
        for name, child in parent.named_children()
        if name == "attn" and isinstance(child, nn.MultiheadAttention)
    ]
    in_images = set(adapted.visual.modules())
    if not any(parent in in_images for parent, _ in found):
        raise UserError("clip_lora: clip_model: found no vision transformer, expected one such as ViT-B-32")
    layers = []
    for parent, name in found:
        layer = LoraAttention(getattr(parent, name), rank, alpha, dropped)
        setattr(parent, name, layer)
        layers.append(layer)
    return adapted, [parameter for layer in layers for parameter in (layer.down, layer.up)]

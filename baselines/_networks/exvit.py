"""ExViT: parallel transformers per modality, joint ones on top, and a learned mean over the tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.layers import Dropout, transformer_block
from diffclip.layers import Table

_HEADS, _HEAD = 4, 16


class ExViT(nn.Module):
    """Separable convolutions and a transformer per modality, a transformer on the tokens of both, and a classifier.

    Args:
        bands: B of the cube.
        channels: C of the auxiliary rasters.
        classes: K.
        window: odd side w of the window.
        width: D of the tokens, divisible by 4.
        own_depth: blocks of each modality.
        joint_depth: blocks of both together.
        dropout: of tokens, attention and MLPs.
    """

    def __init__(
        self,
        bands: int,
        channels: int,
        classes: int,
        window: int = 13,
        width: int = 64,
        own_depth: int = 4,
        joint_depth: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()

        def blocks(depth: int) -> nn.Sequential:
            made = (transformer_block(width, _HEADS, _HEAD, width // 2, dropout) for _ in range(depth))
            return nn.Sequential(*made)

        self.hsi_stem, self.aux_stem = _stem(bands, width), _stem(channels, width)
        self.hsi_tokens, self.aux_tokens = nn.Linear(width, width), nn.Linear(width, width)
        self.positions = Table(torch.randn(window * window, width))
        self.drop = Dropout(dropout)
        self.hsi_blocks, self.aux_blocks = blocks(own_depth), blocks(own_depth)
        self.joint_blocks = blocks(joint_depth)
        self.weigh = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.classifier = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits of the weighted mean of all tokens."""
        positions = self.positions().unsqueeze(-3)
        of_hsi = self.hsi_tokens(self.hsi_stem(hsi).flatten(-2).mT) + positions
        of_aux = self.aux_tokens(self.aux_stem(aux).flatten(-2).mT) + positions
        own = self.hsi_blocks(self.drop(of_hsi)), self.aux_blocks(self.drop(of_aux))
        tokens = self.joint_blocks(torch.cat(own, dim=-2))
        shares = self.weigh(tokens).softmax(dim=-2)  # (..., T, 1)
        return self.classifier((shares * tokens).sum(dim=-2))


def _stem(inputs: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for filters in (width // 4, width // 2, width):
        layers += [
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
            nn.Conv2d(inputs, filters, 1),
            nn.BatchNorm2d(filters),
            nn.GELU(),
        ]
        inputs = filters
    return nn.Sequential(*layers)

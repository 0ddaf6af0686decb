"""SpectralFormer: the bands of a window are the tokens, each seen with its neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.layers import Dropout, transformer_block
from diffclip.layers import Table

_HEADS, _HEAD = 4, 16


class SpectralFormer(nn.Module):
    """A token per band, made of its window and its neighbours', a class token, and blocks that look two blocks back.

    Args:
        bands: B of the cube.
        classes: K.
        window: odd side w of the window.
        neighbours: odd number of bands in a token; beyond the first band comes the last.
        width: D of the tokens.
        depth: number of blocks.
        hidden: width of the MLPs' hidden layer.
        dropout: of tokens, attention and MLPs.
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        window: int = 7,
        neighbours: int = 3,
        width: int = 64,
        depth: int = 5,
        hidden: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        tokens = bands + 1
        self.reach = neighbours // 2
        self.embed = nn.Linear(neighbours * window * window, width)
        self.class_token = Table(torch.randn(1, width))
        self.positions = Table(torch.randn(tokens, width))
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(
            transformer_block(width, _HEADS, _HEAD, hidden, dropout) for _ in range(depth)
        )  # fmt: skip
        self.mixers = nn.ModuleList(nn.Linear(2 * tokens, tokens) for _ in range(depth - 2))
        self.classifier = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def neighbourhoods(self, hsi: Float[Tensor, "*batch B w w"]) -> Float[Tensor, "*batch B values"]:
        """Return, for every band, the windows of it and its neighbours."""
        bands = hsi.flatten(-2)
        return torch.cat([bands.roll(shift, dims=-2) for shift in range(self.reach, -self.reach - 1, -1)], dim=-1)

    def forward(self, hsi: Float[Tensor, "*batch B w w"]) -> Float[Tensor, "*batch K"]:
        """Return the logits of the class token."""
        bands = self.embed(self.neighbourhoods(hsi))
        first = self.class_token().unsqueeze(-3).expand(*bands.shape[:-2], 1, bands.shape[-1])
        x = self.drop(torch.cat([first, bands], dim=-2) + self.positions().unsqueeze(-3))
        before: list[Tensor] = []  # what went into each block so far, before it was mixed
        for place, block in enumerate(self.blocks):
            before.append(x)
            if place > 1:
                both = torch.cat([x, before[place - 2]], dim=-2)
                x = self.mixers[place - 2](both.mT).mT
            x = block(x)
        return self.classifier(x[..., 0, :])

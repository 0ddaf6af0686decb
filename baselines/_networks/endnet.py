"""EndNet: an encoder of single pixels that must also rebuild what it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from diffclip.layers import BatchNorm

_ENCODER = (16, 32, 64, 128)
_DECODER = (64, 32, 16)


class EndNet(nn.Module):
    """An encoder per modality, a fusion of both codes, a classifier, and a decoder per modality.

    Args:
        bands: B of the cube.
        features: D of the auxiliary features.
        classes: K.
    """

    def __init__(self, bands: int, features: int, classes: int) -> None:
        super().__init__()
        self.hsi_encoder, self.aux_encoder = _encoder([bands, *_ENCODER]), _encoder([features, *_ENCODER])
        self.fusion = _encoder([2 * _ENCODER[-1], 128])
        self.classifier = nn.Sequential(*_encoder([128, 64]), nn.Linear(64, classes))
        self.hsi_decoder, self.aux_decoder = _decoder([128, *_DECODER, bands]), _decoder([128, *_DECODER, features])
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def code(
        self, hsi: Float[Tensor, "*batch B 1 1"], aux: Float[Tensor, "*batch D 1 1"]
    ) -> Float[Tensor, "*batch 128"]:
        """Return what both modalities have to say together."""
        codes = self.hsi_encoder(hsi.flatten(-3)), self.aux_encoder(aux.flatten(-3))
        return self.fusion(torch.cat(codes, dim=-1))

    def rebuilt(self, code: Float[Tensor, "*batch 128"]) -> tuple[Float[Tensor, "*batch B"], Float[Tensor, "*batch D"]]:
        """Return both inputs as rebuilt from the code, each value between 0 and 1."""
        return self.hsi_decoder(code), self.aux_decoder(code)

    def forward(
        self, hsi: Float[Tensor, "*batch B 1 1"], aux: Float[Tensor, "*batch D 1 1"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits."""
        return self.classifier(self.code(hsi, aux))


def _encoder(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Sequential(nn.Linear(a, b), BatchNorm(b, eps=1e-3), nn.ReLU()) for a, b in pairwise(widths))
    )


def _decoder(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(nn.Sequential(nn.Linear(a, b), nn.Sigmoid()) for a, b in pairwise(widths)))

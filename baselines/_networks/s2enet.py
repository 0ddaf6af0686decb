"""S2ENet: each modality sharpens the other, along space or along the spectrum."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Enhancement(nn.Module):
    """Scales one modality's features, at every position or in every channel, by their affinity to the other's.

    The affinity of every pair is summed over the other modality's positions (or channels) with learned weights. That
    sum is taken before the product with this modality, which saves making the pairs.

    Args:
        own: channels of the features to be scaled.
        other: channels of the other modality's.
        inner: channels in which they are compared.
        summed: how many positions (or channels) are summed over.
        spatial: True scales positions, False channels.
    """

    def __init__(self, own: int, other: int, inner: tuple[int, int], summed: int, *, spatial: bool) -> None:
        super().__init__()
        self.own, self.other = _squashed(own, inner[0]), _squashed(other, inner[1])
        self.weights = nn.Linear(summed, 1, bias=False)
        self.spatial = spatial

    def forward(
        self, x: Float[Tensor, "*batch C w w"], y: Float[Tensor, "*batch D w w"]
    ) -> Float[Tensor, "*batch C w w"]:
        """Return `x` scaled by what `y` says."""
        own, other = self.own(x).flatten(-2), self.other(y).flatten(-2)  # (..., channels, positions)
        if self.spatial:
            scale = self.weights(other).mT @ own  # (..., 1, positions)
            return x * scale.unflatten(-1, x.shape[-2:])
        scale = own @ self.weights(other.mT)  # (..., channels, 1)
        return x * scale.unsqueeze(-1)


class S2ENet(nn.Module):
    """Three convolutions per modality, spatial and spectral enhancement, one fusing convolution, mean, classifier.

    Args:
        bands: B of the cube.
        channels: C of the auxiliary rasters.
        classes: K.
        window: odd side w of the window.
        width: factor on the numbers of filters.
    """

    def __init__(self, bands: int, channels: int, classes: int, window: int = 7, width: float = 1.0) -> None:
        super().__init__()
        wide, middle, narrow, few, fewest = (max(1, round(n * width)) for n in (128, 64, 32, 16, 8))
        self.hsi = nn.Sequential(*(_stage(a, b, 3) for a, b in ((bands, wide), (wide, middle), (middle, narrow))))
        self.aux = nn.Sequential(*(_stage(a, b, 3) for a, b in ((channels, fewest), (fewest, few), (few, narrow))))
        self.spatial = Enhancement(narrow, narrow, (few, few), window * window, spatial=True)
        self.spectral = Enhancement(narrow, narrow, (narrow, narrow), narrow, spatial=False)
        self.fusion = _stage(2 * narrow, narrow, 1)
        self.classifier = nn.Linear(narrow, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits."""
        of_hsi, of_aux = self.hsi(hsi), self.aux(aux)
        enhanced = self.spatial(of_hsi, of_aux), self.spectral(of_aux, of_hsi)
        return self.classifier(self.fusion(torch.cat(enhanced, dim=-3)).mean(dim=(-2, -1)))


def _stage(inputs: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, filters, kernel, padding=kernel // 2), nn.BatchNorm2d(filters), nn.ReLU())


def _squashed(inputs: int, filters: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, filters, 1), nn.BatchNorm2d(filters), nn.Sigmoid())

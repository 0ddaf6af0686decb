"""FusAtNet: features of the cube under a spectral mask of its own and a spatial mask of the rasters."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.starts import start_as_keras


class Mask(nn.Module):
    """Six convolutions, of which the second and the fourth pass on what they got beside what they made.

    Args:
        inputs: channels that come in.
        widths: filters of the six.
        pooled: True halves the map thrice and takes its mean: a mask of channels instead of positions.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int], *, pooled: bool) -> None:
        super().__init__()
        a, b, c, d, e, f = widths
        pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.first, self.second = _stage(inputs, a), _stage(a, b)
        self.third, self.fourth = nn.Sequential(pool, _stage(a + b, c)), _stage(c, d)
        self.last = nn.Sequential(pool, _stage(c + d, e), _stage(e, f), pool)
        self.pooled = pooled

    def forward(self, x: Float[Tensor, "*batch inputs w w"]) -> Float[Tensor, "*batch f _ _"]:
        """Return the mask, (..., f, 1, 1) of channels or (..., f, w, w) of positions."""
        x = self.first(x)
        x = self.third(torch.cat([x, self.second(x)], dim=-3))
        x = self.last(torch.cat([x, self.fourth(x)], dim=-3))
        return x.mean(dim=(-2, -1), keepdim=True) if self.pooled else x


class FusAtNet(nn.Module):
    """Features of the cube, masked twice, beside both inputs; features of all that, masked once more; a classifier.

    Args:
        bands: B of the cube.
        channels: C of the auxiliary rasters.
        classes: K.
        width: factor on the numbers of filters.
    """

    def __init__(self, bands: int, channels: int, classes: int, width: float = 1.0) -> None:
        super().__init__()
        few, many, most = (max(1, round(n * width)) for n in (128, 256, 1024))
        spatial = few, few, few, many, many, most
        self.features = _features(bands, many, most)
        self.spectral_mask = Mask(bands, (many, many, many, many, many, most), pooled=True)
        self.spatial_mask = Mask(channels, spatial, pooled=False)
        joined = bands + channels + 2 * most
        self.joint_features = _features(joined, many, most)
        self.joint_mask = Mask(joined, spatial, pooled=False)
        pairs = (most, many), (many, many), (many, many), (many, many), (many, most)
        self.classifier = nn.Sequential(*(_stage(a, b, padding=0) for a, b in pairs), nn.Conv2d(most, classes, 1))
        start_as_keras(self)

    def forward(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits: their mean over positions, of which five unpadded convolutions leave one at window 11."""
        features = self.features(hsi)
        masked = features * self.spectral_mask(hsi), features * self.spatial_mask(aux)
        joined = torch.cat([hsi, aux, *masked], dim=-3)
        return self.classifier(self.joint_features(joined) * self.joint_mask(joined)).mean(dim=(-2, -1))


def _stage(inputs: int, filters: int, padding: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, filters, 3, padding=padding), nn.ReLU(), nn.BatchNorm2d(filters))


def _features(inputs: int, many: int, most: int) -> nn.Sequential:
    return nn.Sequential(_stage(inputs, many), *(_stage(many, many) for _ in range(4)), _stage(many, most))

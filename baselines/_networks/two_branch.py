"""The two-branch convolutional network of Xu et al. 2018, layer by layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.layers import Dropout
from baselines._networks.starts import start_as_keras

MIN_BANDS = 14  # what two valid 1-D convolutions (11 and 3 bands) and a pooling by 2 need


def leaky() -> nn.LeakyReLU:
    """Return the network's activation."""
    return nn.LeakyReLU(0.2)


class Cascade(nn.Module):
    """Block of the auxiliary branch: widens to 2f, narrows to f, twice, with a short cut around each half.

    Args:
        inputs: channels that come in.
        filters: f, the channels that go out.
    """

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        wide = 2 * filters
        self.first = nn.Sequential(
            nn.Conv2d(inputs, wide, 3, padding=1),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, filters, 1),
            nn.BatchNorm2d(filters),
        )
        self.activation = leaky()
        self.widen = nn.Conv2d(filters, wide, 3, padding=1)
        self.short_cut = nn.Conv2d(inputs, wide, 1, bias=False)
        self.second = nn.Sequential(
            nn.BatchNorm2d(wide), leaky(), nn.Conv2d(wide, filters, 3, padding=1), nn.BatchNorm2d(filters)
        )

    def forward(self, x: Float[Tensor, "*batch inputs w w"]) -> Float[Tensor, "*batch f w w"]:
        """Return the block's output, of the same height and width."""
        narrow = self.first(x)
        return self.activation(self.second(self.widen(self.activation(narrow)) + self.short_cut(x)) + narrow)


class TwoBranch(nn.Module):
    """One branch for the cube (window and centre spectrum), one for the rasters, and a classifier on both.

    Args:
        bands: B of the cube, at least `MIN_BANDS`.
        channels: C of the auxiliary rasters.
        classes: K.
        window: odd side w of the window.
        width: factor on the number of filters of every layer; 1 is the paper's network.
    """

    def __init__(self, bands: int, channels: int, classes: int, window: int = 11, width: float = 1.0) -> None:
        super().__init__()

        def filters(n: int) -> int:
            return max(1, round(n * width))

        self.window = nn.Sequential(
            nn.Conv2d(bands, filters(256), 3, padding=1),
            nn.BatchNorm2d(filters(256)),
            leaky(),
            nn.Conv2d(filters(256), filters(512), 1),
            leaky(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
        )
        self.spectrum = nn.Sequential(
            nn.Conv1d(1, filters(64), 11),
            nn.BatchNorm1d(filters(64)),
            leaky(),
            nn.Conv1d(filters(64), filters(128), 3),
            leaky(),
            nn.MaxPool1d(2),
            nn.Flatten(),
        )
        self.rasters = nn.Sequential(
            nn.Conv2d(channels, filters(64), 3, padding=1),
            leaky(),
            Cascade(filters(64), filters(64)),
            nn.MaxPool2d(2, ceil_mode=True),
            leaky(),
            Cascade(filters(64), filters(128)),
            nn.Flatten(),
        )
        pooled = (window + 1) // 2
        self.hsi_features = pooled**2 * filters(512) + (bands - 12) // 2 * filters(128)
        self.aux_features = pooled**2 * filters(128)
        fused = self.hsi_features + self.aux_features
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(fused), Dropout(0.25), nn.Linear(fused, filters(128)), leaky(),
            nn.Linear(filters(128), classes),
        )  # fmt: skip
        start_as_keras(self)

    def branches(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> tuple[Float[Tensor, "*batch F"], Float[Tensor, "*batch G"]]:
        """Return what the cube's branch and the rasters' branch see."""
        half = hsi.shape[-1] // 2
        centre = hsi[..., half, half].unsqueeze(-2)
        return torch.cat([self.window(hsi), self.spectrum(centre)], dim=-1), self.rasters(aux)

    def forward(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits of the fused classifier."""
        return self.classifier(torch.cat(self.branches(hsi, aux), dim=-1))


class BranchHeads(nn.Module):
    """One classifier per branch, needed only while the branches are trained."""

    def __init__(self, network: TwoBranch, classes: int) -> None:
        super().__init__()
        self.hsi = nn.Sequential(Dropout(0.5), nn.Linear(network.hsi_features, classes))
        self.aux = nn.Sequential(Dropout(0.5), nn.Linear(network.aux_features, classes))
        start_as_keras(self)

    def forward(
        self, hsi: Float[Tensor, "*batch F"], aux: Float[Tensor, "*batch G"]
    ) -> tuple[Float[Tensor, "*batch K"], Float[Tensor, "*batch K"]]:
        """Return the logits of each branch by itself."""
        return self.hsi(hsi), self.aux(aux)

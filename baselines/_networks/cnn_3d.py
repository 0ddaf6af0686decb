"""The three-dimensional convolutional network of Ben Hamida et al. 2018."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class CNN3D(nn.Sequential):
    """Convolutions over spectrum and space, between them strided ones along the spectrum, and one linear layer.

    Args:
        bands: B, at least 6.
        classes: K.
        window: odd side w of the window, at least 5.
        width: factor on the numbers of filters.
    """

    def __init__(self, bands: int, classes: int, window: int = 5, width: float = 1.0) -> None:
        few, many = max(1, round(20 * width)), max(1, round(35 * width))
        along = (1, 0, 0)
        super().__init__(
            nn.Conv3d(1, few, 3),
            nn.ReLU(),
            nn.Conv3d(few, few, (3, 1, 1), stride=(2, 1, 1), padding=along),
            nn.Conv3d(few, many, 3, padding=along),
            nn.ReLU(),
            nn.Conv3d(many, many, (3, 1, 1), stride=(2, 1, 1), padding=along),
            nn.Conv3d(many, many, (3, 1, 1), padding=along),
            nn.ReLU(),
            nn.Conv3d(many, many, (2, 1, 1), stride=(2, 1, 1), padding=along),
            nn.ReLU(),
            nn.Flatten(-4),
            nn.Linear(many * spectral_length(bands) * (window - 4) ** 2, classes),
        )
        for layer in self:
            if isinstance(layer, (nn.Conv3d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, hsi: Float[Tensor, "*batch B w w"]) -> Float[Tensor, "*batch K"]:
        """Return the logits."""
        return super().forward(hsi.unsqueeze(-4))


def spectral_length(bands: int) -> int:
    """Return how long the spectrum is behind the last convolution."""
    halved = ((bands - 2 + 1) // 2 + 1) // 2
    return halved // 2 + 1

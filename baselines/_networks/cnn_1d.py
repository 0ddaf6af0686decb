"""The one-dimensional convolutional network of Hu et al. 2015."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn


class CNN1D(nn.Sequential):
    """One convolution along the spectrum of the centre pixel, pooled, and two linear layers.

    Kernel and pooling follow the number of bands as in the paper: a ninth of it, and a fifth of that.

    Args:
        bands: B.
        classes: K.
        filters: of the convolution.
        hidden: width of the hidden layer.
    """

    def __init__(self, bands: int, classes: int, filters: int = 20, hidden: int = 100) -> None:
        kernel = math.ceil(bands / 9)
        pool = math.ceil(kernel / 5)
        left = (bands - kernel + 1) // pool
        super().__init__(
            nn.Conv1d(1, filters, kernel),
            nn.MaxPool1d(pool),
            nn.Tanh(),
            nn.Flatten(-2),
            nn.Linear(filters * left, hidden),
            nn.Tanh(),
            nn.Linear(hidden, classes),
        )
        for layer in self:
            if isinstance(layer, (nn.Conv1d, nn.Linear)):
                nn.init.uniform_(layer.weight, -0.05, 0.05)
                nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, hsi: Float[Tensor, "*batch B w w"]) -> Float[Tensor, "*batch K"]:
        """Return the logits of the windows' centre pixels."""
        half = hsi.shape[-1] // 2
        return super().forward(hsi[..., half, half].unsqueeze(-2))

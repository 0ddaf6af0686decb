"""A plain two-dimensional convolutional network, the common control of the field."""

from __future__ import annotations

from torch import Tensor, nn

from baselines._networks.starts import start_as_keras


class CNN2D(nn.Sequential):
    """Two unpadded convolutions over all channels at once, pooled, and two linear layers; maps (n, B, w, w) to (n, K).

    Args:
        bands: B.
        classes: K.
        window: odd side w of the window, at least `2 * kernel + 1`.
        width: factor on the numbers of filters and hidden units.
        kernel: side of both convolutions.
    """

    def __init__(self, bands: int, classes: int, window: int = 11, width: float = 1.0, kernel: int = 5) -> None:
        narrow, wide = max(1, round(50 * width)), max(1, round(100 * width))
        left = (window - 2 * (kernel - 1)) // 2
        super().__init__(
            nn.Conv2d(bands, narrow, kernel),
            nn.ReLU(),
            nn.Conv2d(narrow, wide, kernel),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(-3),
            nn.Linear(left * left * wide, wide),
            nn.ReLU(),
            nn.Linear(wide, classes),
        )
        start_as_keras(self)

    @property
    def hidden_weight(self) -> Tensor:
        """The weight of the hidden linear layer."""
        return self[-3].get_parameter("weight")

"""HybridSN: three-dimensional convolutions, then a two-dimensional one."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.layers import Dropout
from baselines._networks.starts import start_as_keras

LEAST_COMPONENTS = 13  # the unpadded spectral kernels of 7, 5 and 3 leave one


class HybridSN(nn.Module):
    """Three unpadded convolutions over components and space; components folded into channels; one more; three layers.

    Args:
        components: principal components of the cube, at least `LEAST_COMPONENTS`.
        classes: K.
        window: odd side w of the window, at least 9.
        width: factor on the numbers of filters and hidden units.
    """

    def __init__(self, components: int, classes: int, window: int = 25, width: float = 1.0) -> None:
        super().__init__()

        def scaled(n: int) -> int:
            return max(1, round(n * width))

        self.volumes = nn.Sequential(
            nn.Conv3d(1, scaled(8), (7, 3, 3)),
            nn.ReLU(),
            nn.Conv3d(scaled(8), scaled(16), (5, 3, 3)),
            nn.ReLU(),
            nn.Conv3d(scaled(16), scaled(32), 3),
            nn.ReLU(),
            nn.Flatten(-4, -3),
        )
        self.head = nn.Sequential(
            nn.Conv2d(scaled(32) * (components - 12), scaled(64), 3),
            nn.ReLU(),
            nn.Flatten(-3),
            nn.Linear(scaled(64) * (window - 8) ** 2, scaled(256)),
            nn.ReLU(),
            Dropout(0.4),
            nn.Linear(scaled(256), scaled(128)),
            nn.ReLU(),
            Dropout(0.4),
            nn.Linear(scaled(128), classes),
        )
        start_as_keras(self)

    def forward(self, components: Float[Tensor, "*batch L w w"]) -> Float[Tensor, "*batch K"]:
        """Return the logits."""
        return self.head(self.volumes(components.unsqueeze(-4)))

"""Two-dimensional convolutional network on windows of the cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

    from baselines._training import Inputs


class CNN2DMethod(SupervisedNetwork):
    """The plain 2-D network in Ahmad et al., "Hyperspectral image classification: traditional to deep models", 2022.

    The control for every network that adds something to it. Sees windows of the cube, not the auxiliary rasters. Its
    settings are the repository's, which punishes the squared weights of the hidden layer; it keeps the epoch of the
    best test accuracy, here the last weights count. A kernel of 3 fits windows from 7 on.
    """

    title = "2-D CNN"
    reference = "Ahmad et al. 2022, doi:10.1109/JSTARS.2021.3133021; github.com/AnkurDeria"
    uses_aux = False
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"kernel": 3, "width": 0.5, "epochs": 60, "least_steps": 200}
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of the 2-D network.

        Attributes:
            width: factor on the numbers of filters and hidden units.
            kernel: side of both convolutions.
            penalty: on the sum of the hidden layer's squared weights.
        """

        epochs: int = 200
        batch: int = 256
        width: float = 1.0
        kernel: int = 5
        penalty: float = 0.02

    @property
    def least_window(self) -> int:  # type: ignore[override]
        """Two unpadded convolutions and a pooling by 2."""
        return 2 * self.options.kernel + 1

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.cnn_2d import CNN2D

        return CNN2D(channels[0], classes, window, self.options.width, self.options.kernel)

    def loss(self, network: nn.Module, inputs: Inputs, targets: Tensor) -> Tensor:
        """Return cross-entropy plus the penalty."""
        from baselines._networks.cnn_2d import CNN2D

        assert isinstance(network, CNN2D)
        weights = network.hidden_weight.square().sum(dim=(-2, -1))  # one, or one per seed
        return super().loss(network, inputs, targets) + self.options.penalty * weights.mean()

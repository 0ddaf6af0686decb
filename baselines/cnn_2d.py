"""Two-dimensional convolutional network on windows of the cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class CNN2DMethod(SupervisedNetwork):
    """The plain 2-D network in Ahmad et al., "Hyperspectral image classification: traditional to deep models", 2022.

    The control for every network that adds something to it. Sees windows of the cube, not the auxiliary rasters. Its
    200 epochs are the repository's; optimiser, rate and batch could not be verified and are the suite's. A kernel of 3
    fits windows from 7 on.
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
        """

        epochs: int = 200
        width: float = 1.0
        kernel: int = 5

    @property
    def least_window(self) -> int:  # type: ignore[override]
        """Two unpadded convolutions and a pooling by 2."""
        return 2 * self.options.kernel + 1

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.cnn_2d import CNN2D

        return CNN2D(channels[0], classes, window, self.options.width, self.options.kernel)

"""One-dimensional convolutional network on the spectrum of a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class CNN1DMethod(SupervisedNetwork):
    """Hu et al., "Deep convolutional neural networks for hyperspectral image classification", J. Sensors 2015.

    Sees the cube's spectrum of the pixel itself: no neighbour, no auxiliary raster. Sizes and plain gradient descent at
    0.01 as in the paper; 100 epochs and batches of 100 are those of the toolkit DeepHyperX, which also lowers the rate
    when a validation accuracy stalls and scales all bands alike. Its least number of updates is high because plain
    gradient descent at that rate moves slowly; the variant "small" goes faster instead.
    """

    title = "1-D CNN"
    reference = "Hu et al. 2015, doi:10.1155/2015/258619; github.com/nshaud/DeepHyperX"
    optimizer = "sgd"
    least_bands = 6
    uses_aux = False
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {"lr": 0.05, "least_steps": 6000}}

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of the 1-D network.

        Attributes:
            filters: of the convolution.
            hidden: width of the hidden layer.
        """

        window: int | None = 1
        least_steps: int = 30_000
        batch: int = 100
        lr: float = 0.01
        filters: int = 20
        hidden: int = 100

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.cnn_1d import CNN1D

        return CNN1D(channels[0], classes, self.options.filters, self.options.hidden)

"""Three-dimensional convolutional network on windows of the cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class CNN3DMethod(SupervisedNetwork):
    """Ben Hamida et al., "3-D deep learning approach for remote sensing image classification", TGRS 2018.

    Sees windows of the cube, not the auxiliary rasters; the paper's are 5 x 5 (variant "own-window"). Gradient descent
    at 0.01, batches of 100 and 100 epochs are those of the toolkit DeepHyperX, which also lowers the rate when a
    validation accuracy stalls (without validation labels it stays) and scales all bands alike.
    """

    title = "3-D CNN"
    reference = "Ben Hamida et al. 2018, doi:10.1109/TGRS.2018.2818945; github.com/nshaud/DeepHyperX"
    optimizer = "sgd"
    least_window = 5
    least_bands = 6
    uses_aux = False
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "own-window": {"window": 5},
        "small": {"window": 5, "least_steps": 300},
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of the 3-D network.

        Attributes:
            width: factor on the numbers of filters.
        """

        batch: int = 100
        lr: float = 0.01
        weight_decay: float = 5e-4
        width: float = 1.0

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.cnn_3d import CNN3D

        return CNN3D(channels[0], classes, window, self.options.width)

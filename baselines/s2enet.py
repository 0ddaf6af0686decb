"""S2ENet on windows of both modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork, Turns

if TYPE_CHECKING:
    from torch import nn


class S2ENetMethod(SupervisedNetwork):
    """Fang et al., "S2ENet: spatial-spectral cross-modal enhancement network …", GRSL 2022.

    The rasters sharpen the cube's features in space, the cube the rasters' along the spectrum. The published network
    carries two projections that its forward pass never uses; they are left out. The published windows are 7 x 7
    (variant "own-window"). Its last epoch counts, as here.
    """

    title = "S2ENet"
    reference = "Fang et al. 2022, doi:10.1109/LGRS.2021.3121028; github.com/likyoo/Multimodal-Remote-Sensing-Toolkit"
    scaling = "minmax"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "own-window": {"window": 7},
        "small": {"window": 7, "width": 0.5, "epochs": 60, "least_steps": 800, "lr": 2e-3},
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of S2ENet.

        Attributes:
            width: factor on the numbers of filters.
        """

        epochs: int = 128
        turns: Turns = "all"
        width: float = 1.0

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.s2enet import S2ENet

        hsi, aux = channels
        return S2ENet(hsi, aux, classes, window, self.options.width)

    def schedule(self, done: float) -> float:
        """Lower the rate to 0 along a cosine."""
        return (1 + math.cos(math.pi * done)) / 2

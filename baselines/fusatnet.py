"""FusAtNet on windows of both modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork, Turns

if TYPE_CHECKING:
    from torch import nn


class FusAtNetMethod(SupervisedNetwork):
    """Mohla et al., "FusAtNet: dual attention based spectrospatial multimodal fusion network …", CVPR Workshops 2020.

    Its 37 to 38 million weights are for a GPU; the variant "small" has an eighth of the filters and a higher rate. The
    published code trains 20 epochs and says 1000 in a comment; here 1000 count, with Nesterov's Adam at 2e-5 and its
    penalty of 0.01 on the squared weights. It keeps the epoch of the best test accuracy; here the last weights count.
    Every channel is brought to 0..1, as there; windows are turned by quarters, as there, and mirrored too.
    """

    title = "FusAtNet"
    reference = "Mohla et al. 2020, doi:10.1109/CVPRW50498.2020.00054; github.com/ShivamP1993"
    optimizer = "nadam"
    scaling = "minmax"
    least_window = 11
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 0.125, "epochs": 50, "least_steps": 250, "lr": 1e-3, "weight_decay": 1e-4}
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of FusAtNet.

        Attributes:
            width: factor on the numbers of filters.
        """

        epochs: int = 1000
        lr: float = 2e-5
        weight_decay: float = 0.02  # the gradient of 0.01 * weight ** 2
        turns: Turns = "all"
        width: float = 1.0

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.fusatnet import FusAtNet

        hsi, aux = channels
        return FusAtNet(hsi, aux, classes, self.options.width)

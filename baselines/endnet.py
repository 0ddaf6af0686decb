"""EndNet on single pixels and their morphological surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from baselines._supervised import NetworkOptions, SupervisedNetwork
from diffclip.protocol.method import SCENE_WIDE
from diffclip.scene.scene import Imagery

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from baselines._training import Inputs


class EndNetMethod(SupervisedNetwork):
    """Hong et al., "Deep encoder-decoder networks for classification of hyperspectral and LiDAR data", GRSL 2022.

    Sees the spectrum of the pixel and, per auxiliary channel, a profile of 21 values: the channel itself and two series
    of ten. The paper takes attribute profiles whose thresholds could not be verified; here they are openings and
    closings by reconstruction with disks of 1 to 10 pixels, so that its reach is the whole scene. Channels are brought
    to 0..1, which the sigmoids of its decoders ask for. Cross-entropy plus the mean squared errors of both rebuilt
    inputs; the rate halves after every fifth of the training; the last weights count.
    """

    title = "EndNet"
    reference = "Hong et al. 2022, doi:10.1109/LGRS.2020.3017414; github.com/danfenghong/IEEE_GRSL_EndNet"
    scaling = "minmax"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {"least_steps": 300, "epochs": 60}}

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of EndNet.

        Attributes:
            levels: radii of the profiles, 1 to this; two features each.
        """

        window: int | None = 1
        epochs: int = 150
        weight_decay: float = 1e-3
        levels: int = 10

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.window != 1:
                raise ValueError("window: EndNet looks at single pixels, expected 1")

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Reconstruction looks at the whole scene."""
        return SCENE_WIDE

    def rasters(self, scene: Imagery) -> tuple[np.ndarray, ...]:
        """Return the scaled cube and the profiles of the scaled auxiliary channels."""
        import numpy as np

        from diffclip.scene.features import profile

        hsi, aux = scene.scaled(self.scaling)
        radii = tuple(range(1, self.options.levels + 1))
        return hsi, np.concatenate([profile(aux[:, :, channel], radii) for channel in range(aux.shape[2])], axis=2)

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.endnet import EndNet

        hsi, aux = channels
        return EndNet(hsi, aux, classes)

    def loss(self, network: nn.Module, inputs: Inputs, targets: Tensor) -> Tensor:
        """Return cross-entropy plus the errors of the rebuilt inputs."""
        from torch.nn.functional import mse_loss

        from baselines._networks.endnet import EndNet
        from baselines._training import cross_entropy

        assert isinstance(network, EndNet)
        code = network.code(*inputs)
        errors = [mse_loss(found, seen.flatten(-3)) for found, seen in zip(network.rebuilt(code), inputs, strict=True)]
        return cross_entropy(network.classifier(code), targets) + errors[0] + errors[1]

    def schedule(self, done: float) -> float:
        """Halve the rate after every fifth of the training (30 of 150 epochs)."""
        return 0.5 ** int(5 * done)

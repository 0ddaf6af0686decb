"""HybridSN on windows of the cube's principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork
from diffclip.errors import UserError
from diffclip.scene.scene import Imagery

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


class HybridSNMethod(SupervisedNetwork):
    """Roy et al., "HybridSN: exploring 3-D-2-D CNN feature hierarchy for hyperspectral image …", GRSL 2020.

    Sees windows of 30 whitened principal components of the cube (15 for two of the paper's three scenes), not the
    auxiliary rasters. Components are taken over the whole scene, test pixels included, without labels. The published
    code keeps the epoch of the best training accuracy; here the last one counts. Its rate falls by 1e-6 of itself per
    update, which changes nothing in so few. Its windows are 25 x 25 (variant "own-window").
    """

    title = "HybridSN"
    reference = "Roy et al. 2020, doi:10.1109/LGRS.2019.2918719; github.com/gokriznastic/HybridSN"
    least_window = 9
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "own-window": {"window": 25},
        "small": {"width": 0.5, "components": 16, "least_steps": 200},
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of HybridSN.

        Attributes:
            components: principal components of the cube; as many as it has bands where it has fewer.
            width: factor on the numbers of filters and hidden units.
        """

        batch: int = 256
        components: int = 30
        width: float = 1.0

    def rasters(self, scene: Imagery) -> tuple[np.ndarray, ...]:
        """Return the whitened principal components of the cube."""
        from baselines._networks.hybridsn import LEAST_COMPONENTS
        from diffclip.scene.features import whitened_components

        components = min(self.options.components, scene.hsi.shape[2])
        if components < LEAST_COMPONENTS:
            few = f"{self.options.components} of {scene.hsi.shape[2]} bands"
            raise UserError(f"hybridsn: components: found {few}, expected {LEAST_COMPONENTS} or more")
        return (whitened_components(scene.hsi, components),)

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.hybridsn import HybridSN

        return HybridSN(channels[0], classes, window, self.options.width)

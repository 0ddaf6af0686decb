"""SpectralFormer on windows of the cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class SpectralFormerMethod(SupervisedNetwork):
    """Hong et al., "SpectralFormer: rethinking hyperspectral image classification with transformers", TGRS 2022.

    The patch-wise network with cross-layer fusion, of the size of the released checkpoint. Sees windows of the cube,
    not the auxiliary rasters; the published windows are 7 x 7 (variant "own-window"). Epochs and weight decay are those
    for Houston 2013. Every band is brought to 0..1 and the last weights count, as in the published code.
    """

    title = "SpectralFormer"
    reference = "Hong et al. 2022, doi:10.1109/TGRS.2021.3130716; github.com/danfenghong/IEEE_TGRS_SpectralFormer"
    scaling = "minmax"
    uses_aux = False
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "own-window": {"window": 7},
        "small": {"window": 7, "width": 32, "depth": 3, "epochs": 60, "least_steps": 600, "lr": 2e-3},
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of SpectralFormer.

        Attributes:
            neighbours: odd number of bands in a token.
            width: of the tokens.
            depth: number of blocks, 2 or more.
            hidden: width of the MLPs' hidden layer.
            dropout: of tokens, attention and MLPs.
        """

        epochs: int = 600
        lr: float = 5e-4
        weight_decay: float = 5e-3
        neighbours: int = 3
        width: int = 64
        depth: int = 5
        hidden: int = 8
        dropout: float = 0.1

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.neighbours % 2 == 0 or self.depth < 2:
                raise ValueError("expected an odd number of neighbours and a depth of 2 or more")

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.spectralformer import SpectralFormer

        options = self.options
        sizes = options.neighbours, options.width, options.depth, options.hidden
        return SpectralFormer(channels[0], classes, window, *sizes, options.dropout)

    def schedule(self, done: float) -> float:
        """Lower the rate by a tenth after every tenth of the training."""
        return 0.9 ** int(10 * done)

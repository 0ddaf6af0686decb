"""ExViT on windows of both modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class ExViTMethod(SupervisedNetwork):
    """Yao et al., "Extended vision transformer (ExViT) for land use and land cover classification", TGRS 2023.

    Its size equals that of the released checkpoint. The published windows are 13 x 13 (variant "own-window"), its
    height raster is not scaled, and it keeps the epoch of the best test accuracy; here all channels are brought to
    0..1 and the last weights count. The rate falls by a tenth every 20 of 500 epochs.
    """

    title = "ExViT"
    reference = "Yao et al. 2023, doi:10.1109/TGRS.2023.3284671; github.com/jingyao16/ExViT"
    scaling = "minmax"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "own-window": {"window": 13},
        "small": {
            "window": 7,
            "width": 32,
            "own_depth": 1,
            "joint_depth": 1,
            "epochs": 60,
            "least_steps": 600,
            "lr": 2e-3,
        },
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of ExViT.

        Attributes:
            width: of the tokens, divisible by 4.
            own_depth: blocks of each modality.
            joint_depth: blocks of both together.
            dropout: of tokens, attention and MLPs.
        """

        epochs: int = 500
        lr: float = 5e-4
        width: int = 64
        own_depth: int = 4
        joint_depth: int = 2
        dropout: float = 0.1

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.width < 4 or self.width % 4:
                raise ValueError("width: expected a multiple of 4")

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.exvit import ExViT

        (hsi, aux), options = channels, self.options
        depths = options.own_depth, options.joint_depth
        return ExViT(hsi, aux, classes, window, options.width, *depths, options.dropout)

    def schedule(self, done: float) -> float:
        """Lower the rate by a tenth 25 times."""
        return 0.9 ** int(25 * done)

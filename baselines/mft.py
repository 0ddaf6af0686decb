"""Multimodal fusion transformer on windows of both modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork

if TYPE_CHECKING:
    from torch import nn


class MFTMethod(SupervisedNetwork):
    """Roy et al., "Multimodal fusion transformer for remote sensing image classification", TGRS 2023.

    The channel tokenisation of the published notebook: the token that classifies is made of the rasters and asks four
    tokens of the cube. The notebook's number of epochs is 1, plainly a stub; the paper trains for 500, with a factor of
    0.9 on the rate per 50 of them. It keeps the best test accuracy; here the last weights count. How its windows are
    scaled is not published; here channels are standardised.
    """

    title = "MFT"
    reference = "Roy et al. 2023, doi:10.1109/TGRS.2023.3286826; github.com/AnkurDeria/MFT"
    least_bands = 9
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 32, "epochs": 60, "least_steps": 200, "lr": 1e-3}
    }

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of MFT.

        Attributes:
            width: of the tokens, divisible by 16.
            depth: number of blocks.
            dropout: of tokens, attention and MLPs.
        """

        epochs: int = 500
        lr: float = 5e-4
        weight_decay: float = 5e-3
        width: int = 64
        depth: int = 2
        dropout: float = 0.1

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.width < 16 or self.width % 16:
                raise ValueError("width: expected a multiple of 16")

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.mft import MFT

        hsi, aux = channels
        return MFT(hsi, aux, classes, self.options.width, self.options.depth, self.options.dropout)

    def schedule(self, done: float) -> float:
        """Lower the rate by a tenth after every tenth of the training."""
        return 0.9 ** int(10 * done)

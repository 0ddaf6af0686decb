"""How weights start in networks that were published for another framework than torch."""

from __future__ import annotations

from torch import nn

from diffclip.layers import xavier


def start_as_keras(network: nn.Module) -> None:
    """Let linear and convolutional weights start as they do in Keras unless told otherwise: Glorot's uniform, no bias.

    Without normalisation between the layers, torch's own smaller weights let little of the input through at first.
    """
    xavier(network, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))

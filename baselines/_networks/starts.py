"""How weights start in networks that were published for another framework than torch."""

from __future__ import annotations

from torch import nn


def start_as_keras(network: nn.Module) -> None:
    """Let linear and convolutional weights start as they do in Keras unless told otherwise: Glorot's uniform, no bias.

    Without normalisation between the layers, torch's own smaller weights let little of the input through at first.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

"""Sizes of the networks: as many weights as the authors' own, on the three scenes they are reported on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines._supervised import SupervisedNetwork
from diffclip.protocol.catalogue import make_method

SCENES = {"Houston 2013": (144, 1, 15), "Trento": (63, 1, 6), "MUUFL": (64, 2, 11)}  # B, C, K
# Counted in the authors' own networks, or in the formula of their layers, at the authors' window.
PUBLISHED: dict[str, tuple[int, tuple[int, int, int]]] = {
    "cnn_1d": (1, (65_955, 56_866, 57_391)),
    "cnn_2d": (11, (316_765, 214_606, 216_361)),
    "cnn_3d": (5, (40_610, 32_516, 34_096)),
    "hybridsn": (25, (5_122_047, 5_120_886, 5_121_531)),
}


def built(name: str, window: int, bands: int, channels: int, classes: int) -> nn.Module:
    """Return a method's network with the default options, without memory for its weights."""
    method = make_method(name)
    assert isinstance(method, SupervisedNetwork)
    stacks = {"hybridsn": (30,)}.get(name, (bands, channels))
    with torch.device("meta"):
        return method.network(stacks, classes, window)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


@pytest.mark.parametrize("name", PUBLISHED)
def test_has_as_many_weights_as_the_papers_network(name):
    window, expected = PUBLISHED[name]
    assert tuple(count(built(name, window, *sizes)) for sizes in SCENES.values()) == expected


def test_hybridsn_at_eleven_pixels_has_its_known_size():
    assert count(built("hybridsn", 11, 144, 1, 15)) == 534_527

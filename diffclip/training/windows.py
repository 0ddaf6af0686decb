"""The windows of every modality of a scene, on the device; crops of them; batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import interpolate

from diffclip.errors import UserError
from diffclip.model.encoder import Architecture
from diffclip.scene.features import modality_profiles
from diffclip.scene.scene import Imagery, Scaling
from diffclip.scene.windows import Windows


class SceneWindows:
    """One call gathers the same windows from every modality.

    Args:
        scene: what the sensors saw.
        scaling: of its channels.
        window: side in pixels.
        device: where the rasters live.
        modalities: which ones are seen, in this order; "aux" stands for all auxiliary ones that the scene has.
        profiles: whether morphological profiles of a modality follow its own channels.

    Attributes:
        shape: (H, W) of the scene.
        window: side in pixels.
        modalities: names of those that are there.
        channels: channels of each, profiles included.
        profiles: how many of them, the last ones, are profiles.

    Raises:
        UserError: the scene has none of the modalities, or not one that is asked for by its name.
    """

    def __init__(
        self,
        scene: Imagery,
        scaling: Scaling,
        window: int,
        device: str,
        modalities: Sequence[str] = ("hsi", "aux"),
        *,
        profiles: bool = False,
    ) -> None:
        rasters = scene.rasters(scaling)
        self.shape, self.window = scene.shape, window
        self.modalities = _present(scene, modalities, rasters)
        own = {name: rasters[name].shape[-1] for name in self.modalities}
        if profiles:
            further = modality_profiles(scene)
            rasters = {name: np.concatenate([rasters[name], further[name]], axis=2) for name in self.modalities}
        self.channels = [rasters[name].shape[-1] for name in self.modalities]
        self.profiles = [rasters[name].shape[-1] - count for name, count in own.items()]
        self._windows = [Windows(rasters[name], window, device) for name in self.modalities]

    def __call__(self, pixels: Int64[Tensor, "*batch"]) -> list[Float[Tensor, "*batch P _C"]]:
        """Return, per modality, the scaled pixels of the windows around `pixels`."""
        return self.at(self.positions(pixels))

    def positions(self, pixels: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch P"]:
        """Return the flat positions of the pixels in the windows around `pixels`, row by row."""
        return self._windows[0].positions(pixels)

    def at(self, positions: Int64[Tensor, "*any"]) -> list[Float[Tensor, "*any _C"]]:
        """Return, per modality, the scaled channels of single pixels."""
        return [windows.at(positions) for windows in self._windows]


def _present(scene: Imagery, wanted: Sequence[str], rasters: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the modalities that are wanted and have channels, each once."""
    groups = {"aux": list(scene.aux_channels)}
    names = dict.fromkeys(name for asked in wanted for name in groups.get(asked, [asked]))
    if unknown := [name for name in names if name not in rasters]:
        found, known = ", ".join(unknown), ", ".join(rasters)
        raise UserError(f"scene {scene.name}: modalities: found {found}, expected some of {known}")
    present = [name for name in names if rasters[name].shape[-1]]
    if not present:
        raise UserError(f"scene {scene.name}: modalities: found no channel of {', '.join(wanted)}")
    return present


def architecture(options: Any, window: int) -> Architecture:
    """Return the network's sizes from a method's options (or stage 1's settings) and the window."""
    names = (field.name for field in fields(Architecture) if field.name != "window")
    return Architecture(window=window, **{name: getattr(options, name) for name in names})


def cropped(
    pixels: Float[Tensor, "*batch P C"], drawn: Bool[Tensor, "*batch"], window: int
) -> Float[Tensor, "*batch P C"]:
    """Cut a border of one pixel off the drawn windows and stretch the rest to the old side, bilinearly.

    Args:
        pixels: windows, row by row.
        drawn: which of them.
        window: their side in pixels, at least 3.
    """
    stretched = _stretch(window).to(pixels) @ pixels
    return torch.where(drawn[..., None, None], stretched, pixels)


@cache
def _stretch(window: int) -> Float[Tensor, "P P"]:
    """Return the linear map, on the CPU, of a window's pixels to those of its stretched inside."""
    single = torch.eye(window**2).view(-1, 1, window, window)
    return interpolate(single[..., 1:-1, 1:-1], size=(window, window), mode="bilinear").flatten(1).mT.contiguous()


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch into batches; a last batch of one joins the one before it, for the sake of batch norm."""
    cut = list(order.split(size))
    if len(cut) > 1 and len(cut[-1]) == 1:
        cut[-2:] = [torch.cat(cut[-2:])]
    return cut

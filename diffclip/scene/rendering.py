"""A scene as pictures: its false colours, and its auxiliary rasters as red, green and blue."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from diffclip.scene.scene import Imagery

View = Literal["hsi", "aux"]
STRETCH = (2.0, 98.0)  # percentiles shown as black and white


def false_colour(imagery: Imagery) -> UInt8[np.ndarray, "H W 3"]:
    """Return the scene's false-colour bands as (H, W, 3) uint8, each stretched from its 2nd to 98th percentile."""
    return _stretched(imagery.hsi[..., list(imagery.info.false_colour)])


def raster_colour(imagery: Imagery) -> UInt8[np.ndarray, "H W 3"]:
    """Return auxiliary channels as (H, W, 3) uint8, stretched like `false_colour`.

    The first three are red, green and blue; of fewer channels the first come again, so that a single one is grey.
    """
    channels = [channel % imagery.aux.shape[2] for channel in range(3)]
    return _stretched(imagery.aux[..., channels])


def picture(imagery: Imagery, view: View) -> UInt8[np.ndarray, "H W 3"]:
    """Return the scene as one modality shows it: `false_colour` for "hsi", `raster_colour` for "aux"."""
    return false_colour(imagery) if view == "hsi" else raster_colour(imagery)


def _stretched(channels: Float32[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    low, high = np.percentile(channels, STRETCH, axis=(0, 1))
    stretched = (channels - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return (np.clip(stretched, 0, 1) * 255).round().astype(np.uint8)

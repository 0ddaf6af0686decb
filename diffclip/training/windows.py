"""The windows of every modality of a scene, on the device."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from diffclip.model.encoder import Architecture
from diffclip.scene.scene import Imagery, Scaling
from diffclip.scene.windows import Windows


class SceneWindows:
    """One call gathers the same windows from every modality.

    Args:
        scene: what the sensors saw.
        scaling: of its channels.
        window: side in pixels.
        device: where the rasters live.
    """

    def __init__(self, scene: Imagery, scaling: Scaling, window: int, device: str) -> None:
        rasters = [array for array in scene.scaled(scaling) if array.shape[-1]]
        self.channels = [array.shape[-1] for array in rasters]
        self._windows = [Windows(array, window, device) for array in rasters]

    def __call__(self, pixels: Int64[Tensor, "*batch"]) -> list[Float[Tensor, "*batch P _C"]]:
        """Return, per modality, the scaled pixels of the windows around `pixels`."""
        return [gather(pixels) for gather in self._windows]


def architecture(options: Any, window: int) -> Architecture:
    """Return the network's sizes from a method's options (or stage 1's settings) and the window."""
    names = ("token_size", "stem", "width", "depth", "heads", "mlp_ratio", "decoder_width", "decoder_depth")
    return Architecture(window=window, decoder_heads=options.decoder_heads, **{n: getattr(options, n) for n in names})

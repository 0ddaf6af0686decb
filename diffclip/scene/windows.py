"""Windows of a scene that lives on the device once: gathered there by index, never copied per sample by Python."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from diffclip.errors import UserError


class Windows:
    """Square neighbourhoods of one raster stack.

    Pixels beyond the scene's border are its mirror image (the border pixel itself is not repeated).

    Args:
        array: (H, W, C) raster stack.
        window: odd side w of the neighbourhood in pixels.
        device: where the raster lives and the windows are made.
    """

    def __init__(self, array: Float[np.ndarray, "H W C"], window: int, device: str = "cpu") -> None:
        height, width, channels = array.shape
        half = window // 2
        if window % 2 == 0 or half >= min(height, width):
            limit = 2 * min(height, width) - 1
            raise UserError(f"window: found {window}, expected an odd number below {limit} for {height} x {width}")
        padded = np.pad(array, ((half, half), (half, half), (0, 0)), mode="reflect")
        self.window = window
        self.width = width
        self._padded_width = width + 2 * half
        self._rows = torch.from_numpy(padded.reshape(-1, channels)).to(device)
        steps = torch.arange(window, device=device)
        self._offsets = (steps[:, None] * self._padded_width + steps).flatten()

    def __call__(self, pixels: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch tokens C"]:
        """Return the w * w pixels around each of `pixels` (flat positions in the scene), row by row."""
        corner = (pixels // self.width) * self._padded_width + pixels % self.width
        return self._rows[corner[..., None] + self._offsets]

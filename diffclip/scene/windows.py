"""Windows of a scene that lives on the device once: gathered there by index, never copied per sample by Python.

A raster that lies mapped on disk (`diffclip.scene.store`) stays there: its pixels are gathered from the file and only
what was asked for goes to the device.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from diffclip.errors import UserError
from diffclip.scene.mapped import is_mapped


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
        self.window = window
        self.width = width
        rows = array.reshape(-1, channels)
        self._mapped = rows if is_mapped(array) else None
        self._rows = None if is_mapped(array) else torch.from_numpy(rows).to(device)
        self._steps = torch.arange(window, device=device)
        # Where the mirror puts the rows and columns from -half on: mirrored positions, not a mirrored copy.
        self._row_starts, self._columns = (
            torch.from_numpy(np.pad(np.arange(size), half, mode="reflect")).to(device) for size in (height, width)
        )
        self._row_starts *= width

    def __call__(self, pixels: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch tokens C"]:
        """Return the w * w pixels around each of `pixels` (flat positions in the scene), row by row."""
        return self.at(self.positions(pixels))

    def positions(self, pixels: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch tokens"]:
        """Return the flat positions of the w * w pixels around each of `pixels`, row by row."""
        rows = self._row_starts[(pixels // self.width)[..., None] + self._steps]
        columns = self._columns[(pixels % self.width)[..., None] + self._steps]
        return (rows[..., :, None] + columns[..., None, :]).flatten(-2)

    def at(self, positions: Int64[Tensor, "*any"]) -> Float[Tensor, "*any C"]:
        """Return the channels of single pixels."""
        if self._rows is not None:
            return self._rows[positions]
        assert self._mapped is not None
        return torch.from_numpy(self._mapped[positions.cpu().numpy()]).to(positions.device)

"""Smooth random fields, the raw material of relief, bends and patches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import ndimage


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Float32[np.ndarray, "H W"]:
    """Return an (H, W) random field of zero mean and unit deviation that changes over about `scale` pixels.

    Drawn on a coarse grid and interpolated with cubic splines, so that the cost does not grow with `scale`.
    """
    cells = [int(np.ceil(side / scale)) + 3 for side in shape]
    coarse = rng.standard_normal(cells)
    offset = rng.uniform(0.5, 1.5, size=2)
    rows, cols = (start + np.arange(side) / scale for start, side in zip(offset, shape, strict=True))
    fine = ndimage.map_coordinates(coarse, np.meshgrid(rows, cols, indexing="ij"), order=3, mode="nearest")
    return ((fine - fine.mean()) / fine.std()).astype(np.float32)

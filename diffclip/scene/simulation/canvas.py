"""The map being drawn: surfaces, objects, heights and slopes, and the strokes that paint them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int16, Int32
from scipy import ndimage

from diffclip.scene.simulation.classes import KINDS


class Box(NamedTuple):
    """A rectangle of pixels, half open: rows top..bottom - 1, columns left..right - 1; may stick out of the map."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def cols(self) -> int:
        """Number of columns."""
        return self.right - self.left

    def shrunk(self, by: int) -> Box:
        """Return the box without a rim of `by` pixels."""
        return Box(self.top + by, self.left + by, self.bottom - by, self.right - by)

    def oriented(self, upright: bool) -> Box:
        """Return the box, or the box with rows and columns swapped when `upright`."""
        return Box(self.left, self.top, self.right, self.bottom) if upright else self


@dataclass
class Canvas:
    """A map under construction.

    Attributes:
        gsd: m per pixel.
        kind: (H, W) index into KINDS of the topmost surface.
        objects: (H, W) number of the object that a pixel belongs to.
        height: (H, W) m above ground.
        slope: (2, H, W) rise of the surface along rows and columns, m per m.
        object_kind: kind index of every object.
    """

    gsd: float
    kind: Int16[np.ndarray, "H W"]
    objects: Int32[np.ndarray, "H W"]
    height: Float32[np.ndarray, "H W"]
    slope: Float32[np.ndarray, "2 H W"]
    object_kind: list[int]

    @classmethod
    def blank(cls, shape: tuple[int, int], gsd: float, kind: str) -> Canvas:
        """Return a map of (H, W) pixels that is one level object of one kind."""
        return cls(
            gsd,
            np.full(shape, KINDS.index(kind), np.int16),
            np.zeros(shape, np.int32),
            np.zeros(shape, np.float32),
            np.zeros((2, *shape), np.float32),
            [KINDS.index(kind)],
        )

    @property
    def box(self) -> Box:
        """The whole map."""
        return Box(0, 0, *self.kind.shape)

    def pixels(self, metres: float) -> int:
        """Return a length in whole pixels, at least one."""
        return max(1, round(metres / self.gsd))

    def rectangle(self, box: Box, kind: str, height: float = 0.0) -> None:
        """Paint a level rectangle as a new object."""
        inside = self._clip(box)
        if inside is not None:
            self._stroke(inside, np.ones((inside.rows, inside.cols), bool), kind, height, (0.0, 0.0))

    def gable(self, box: Box, kind: str, eaves: float, rise: float) -> None:
        """Paint a gabled roof: ridge along the longer side, `rise` m above the `eaves`."""
        inside = self._clip(box)
        if inside is None:
            return
        rows, cols = self._offsets(inside, (box.top + box.bottom - 1) / 2, (box.left + box.right - 1) / 2)
        across, axis = (rows, 0) if box.cols >= box.rows else (cols, 1)
        half = (box.rows, box.cols)[axis] / 2
        height = eaves + rise * (1.0 - np.abs(across) / half)
        pitch = -np.sign(across) * rise / (half * self.gsd)
        slope = (pitch, 0.0) if axis == 0 else (0.0, pitch)
        self._stroke(inside, np.ones(height.shape, bool), kind, height, slope)

    def crown(self, row: float, col: float, radius: float, top: float, kind: str) -> None:
        """Paint a round crown (`radius` in pixels, `top` in m) wherever it is the highest thing, but not over water."""
        reach = int(np.ceil(radius))
        inside = self._clip(Box(int(row) - reach, int(col) - reach, int(row) + reach + 2, int(col) + reach + 2))
        if inside is None:
            return
        rows, cols = self._offsets(inside, row, col)
        squared = (rows**2 + cols**2) / radius**2
        height = top * (1.0 - 0.55 * squared)
        pitch = -1.1 * top / (radius**2 * self.gsd)
        view = (slice(inside.top, inside.bottom), slice(inside.left, inside.right))
        mask = (squared <= 1.0) & (height > self.height[view]) & (self.kind[view] != KINDS.index("water"))
        # A real crown is rounder than a paraboloid is steep at its rim, so slopes are damped.
        self._stroke(inside, mask, kind, height, (0.35 * pitch * rows, 0.35 * pitch * cols))

    def pond(self, row: float, col: float, radii: tuple[float, float], wobble: float) -> None:
        """Paint water with semi-axes `radii` (pixels) and a shore that swings by 12 %, `wobble` being its phase."""
        reach = int(np.ceil(1.2 * max(radii)))
        inside = self._clip(Box(int(row) - reach, int(col) - reach, int(row) + reach + 1, int(col) + reach + 1))
        if inside is None:
            return
        rows, cols = self._offsets(inside, row, col)
        distance = np.hypot(rows / radii[0], cols / radii[1])
        angle = np.arctan2(rows, cols)
        shore = 1.0 + 0.08 * np.sin(2 * angle + wobble) + 0.04 * np.sin(5 * angle - wobble)
        self._stroke(inside, distance <= shore, "water", 0.0, (0.0, 0.0))

    def bent(self, shift: Float32[np.ndarray, "2 h w"], margin: int) -> Canvas:
        """Return the map without its margin, each pixel (r, c) taken from (r, c) + margin + shift[:, r, c]."""
        grid = np.indices(shift.shape[1:]) + margin + shift
        rows, cols = (
            np.clip(np.rint(at), 0, side - 1).astype(np.intp) for at, side in zip(grid, self.kind.shape, strict=True)
        )
        return Canvas(
            self.gsd,
            self.kind[rows, cols],
            self.objects[rows, cols],
            self.height[rows, cols],
            self.slope[:, rows, cols],
            self.object_kind,
        )

    def _clip(self, box: Box) -> Box | None:
        rows, cols = self.kind.shape
        inside = Box(max(box.top, 0), max(box.left, 0), min(box.bottom, rows), min(box.right, cols))
        return inside if inside.rows > 0 and inside.cols > 0 else None

    @staticmethod
    def _offsets(box: Box, row: float, col: float) -> tuple[np.ndarray, np.ndarray]:
        """Return two (rows, cols) arrays: distance of every pixel of the box from (row, col)."""
        rows, cols = np.mgrid[box.top : box.bottom, box.left : box.right]
        return rows - row, cols - col

    def _stroke(
        self,
        box: Box,
        mask: np.ndarray,
        kind: str,
        height: np.ndarray | float,
        slope: tuple[np.ndarray | float, np.ndarray | float],
    ) -> None:
        if not mask.any():
            return
        view = (slice(box.top, box.bottom), slice(box.left, box.right))
        self.kind[view][mask] = KINDS.index(kind)
        self.objects[view][mask] = len(self.object_kind)
        self.height[view][mask] = np.broadcast_to(height, mask.shape)[mask]
        for axis in (0, 1):
            self.slope[axis][view][mask] = np.broadcast_to(slope[axis], mask.shape)[mask]
        self.object_kind.append(KINDS.index(kind))


def footprint(array: np.ndarray, sigma: float) -> np.ndarray:
    """Return an (H, W) or (H, W, B) array as seen through a Gaussian footprint of `sigma` pixels."""
    if sigma == 0.0:
        return array
    return ndimage.gaussian_filter(array, sigma, axes=(0, 1), mode="nearest", truncate=3.0)

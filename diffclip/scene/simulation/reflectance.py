"""From the map to the reflectance of every pixel: each object its own spectrum, each pixel its own mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from diffclip.scene.simulation.canvas import Canvas
from diffclip.scene.simulation.classes import KINDS
from diffclip.scene.simulation.fields import smooth_field
from diffclip.scene.simulation.materials import object_spectra


class Mixture(NamedTuple):
    """How a kind of surface mixes its two materials.

    Attributes:
        minor: mean share of the minor material.
        between: deviation of that share from object to object.
        within: deviation from place to place in an object.
        rows: amplitude of a pattern of parallel rows.
        rough: relative deviation of brightness from pixel to pixel.
    """

    minor: float
    between: float
    within: float
    rows: float
    rough: float


MIXTURES = {
    "lawn": Mixture(0.18, 0.12, 0.08, 0.0, 0.05),
    "meadow": Mixture(0.25, 0.15, 0.10, 0.0, 0.07),
    "crop": Mixture(0.32, 0.18, 0.06, 0.16, 0.06),
    "broadleaf": Mixture(0.12, 0.08, 0.08, 0.0, 0.16),
    "conifer": Mixture(0.15, 0.08, 0.08, 0.0, 0.18),
    "soil": Mixture(0.10, 0.10, 0.06, 0.05, 0.06),
    "roadway": Mixture(0.20, 0.15, 0.20, 0.0, 0.05),
    "lot": Mixture(0.20, 0.15, 0.20, 0.0, 0.05),
    "car": Mixture(0.25, 0.15, 0.20, 0.0, 0.15),
    "concrete": Mixture(0.18, 0.12, 0.12, 0.0, 0.06),
    "tile": Mixture(0.10, 0.10, 0.06, 0.0, 0.06),
    "bitumen": Mixture(0.20, 0.15, 0.20, 0.0, 0.05),
    "gravel": Mixture(0.15, 0.10, 0.10, 0.0, 0.06),
    "water": Mixture(0.25, 0.10, 0.15, 0.0, 0.03),
}
LARGEST_SHARE = 0.75  # of the minor material, so that the prevailing one keeps prevailing somewhere in the object


def reflectance(
    canvas: Canvas,
    nm: Float64[np.ndarray, " B"],
    variety: float,
    materials: np.random.Generator,
    texture: np.random.Generator,
) -> Float32[np.ndarray, "H W B"]:
    """Return the reflectance of every pixel before any sensor saw it.

    Args:
        canvas: the map.
        nm: wavelengths.
        variety: factor on all differences between objects of one kind.
        materials: draws the spectra of the objects.
        texture: draws what varies within objects.
    """
    major, minor = _spectra_of_objects(canvas, nm, variety, materials)
    share = _minor_share(canvas, variety, texture)[..., None]
    mixed = major[canvas.objects]
    mixed += share * (minor[canvas.objects] - mixed)
    rough = np.array([MIXTURES[kind].rough for kind in KINDS], np.float32)[canvas.kind]
    brightness = 1.0 + rough * texture.standard_normal(canvas.kind.shape).astype(np.float32)
    mixed *= np.clip(brightness, 0.4, 1.6)[..., None]
    return np.clip(mixed, 0.0, 1.0, out=mixed)


def _spectra_of_objects(
    canvas: Canvas, nm: np.ndarray, variety: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return two (objects, B) float32 arrays: prevailing and minor material of every object on the map."""
    kinds = np.array(canvas.object_kind)
    pair = np.zeros((2, len(kinds), len(nm)), np.float32)
    for index, name in enumerate(KINDS):
        members = np.flatnonzero(kinds == index)
        pair[:, members] = object_spectra(name, nm, len(members), variety, rng)
    return pair[0], pair[1]


def _minor_share(canvas: Canvas, variety: float, rng: np.random.Generator) -> Float32[np.ndarray, "H W"]:
    """Return the share of the minor material: a level per object, patches within, rows where plants are sown."""
    n = len(canvas.object_kind)
    mixtures = np.array([MIXTURES[kind] for kind in KINDS], np.float32)
    of_object = mixtures[np.array(canvas.object_kind)]
    level = of_object[:, 0] + variety * of_object[:, 1] * rng.standard_normal(n)
    direction = rng.uniform(0.0, np.pi, n)
    wave = 2.0 * np.pi / (rng.uniform(2.6, 4.5, n) / canvas.gsd)
    steps = np.stack([wave * np.sin(direction), wave * np.cos(direction)]).astype(np.float32)
    rows, cols = np.indices(canvas.kind.shape, dtype=np.float32)
    phase = steps[0][canvas.objects] * rows + steps[1][canvas.objects] * cols
    patches = smooth_field(rng, canvas.kind.shape, 5.0 / canvas.gsd)
    of_pixel = of_object[canvas.objects]
    share = level.astype(np.float32)[canvas.objects] + of_pixel[..., 2] * patches + of_pixel[..., 3] * np.cos(phase)
    return np.clip(share, 0.0, LARGEST_SHARE)

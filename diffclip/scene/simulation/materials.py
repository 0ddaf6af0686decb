"""Reflectance spectra of the materials, from the absorptions that shape them.

Every model is a small function of wavelengths (B,) in nm and parameters (n,), and returns reflectance (n, B). The
shapes follow what field spectrometry of vegetation, soils and cities reports: chlorophyll absorbs in the blue and red,
leaf water near 970, 1200, 1450 and 1940 nm, iron oxide below 550 and near 880 nm; asphalt is dark, nearly flat, and
brightens with age; clear water darkens steadily towards the infrared. They are plausible, not fitted to samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Wavelengths = Float64[np.ndarray, " B"]
Parameter = Float64[np.ndarray, " n"]
Spectra = Float64[np.ndarray, "n B"]


def _bump(nm: Wavelengths, centre: float, width: float) -> Wavelengths:
    return np.exp(-0.5 * ((nm - centre) / width) ** 2)


def _step(nm: Wavelengths, centre: Parameter, width: float) -> Spectra:
    """Return a smooth step from 0 to 1 at `centre`, one row per entry of `centre`."""
    return 0.5 * (1.0 + np.tanh((nm - centre[:, None]) / (2.0 * width)))


def _liquid_water(nm: Wavelengths) -> Wavelengths:
    """Return the relative absorption of liquid water, with its four bands below 2500 nm."""
    bands = 0.10 * _bump(nm, 970.0, 25.0) + 0.18 * _bump(nm, 1200.0, 40.0)
    return bands + 0.9 * _bump(nm, 1450.0, 60.0) + 1.2 * _bump(nm, 1940.0, 80.0) + 0.9 * _bump(nm, 2500.0, 250.0)


def vegetation(
    nm: Wavelengths, chlorophyll: Parameter, red_edge: Parameter, plateau: Parameter, water: Parameter
) -> Spectra:
    """Return spectra of green leaves.

    Args:
        nm: wavelengths.
        chlorophyll: absorption strength, about 1 (pale) to 3 (dark green).
        red_edge: wavelength where the chlorophyll absorption ends, nm.
        plateau: reflectance in the near infrared.
        water: leaf water, about 0.5 to 1.5.
    """
    blue = 0.55 * _bump(nm, 440.0, 45.0) + 0.25 * _bump(nm, 490.0, 30.0)
    red = 0.20 * _bump(nm, 615.0, 28.0) + 0.50 * _bump(nm, 672.0, 24.0)
    absorption = chlorophyll[:, None] * (blue + red + 0.55 * (1.0 - _step(nm, red_edge, 9.0)))
    return plateau[:, None] * np.exp(-absorption - water[:, None] * _liquid_water(nm))


def soil(nm: Wavelengths, brightness: Parameter, iron: Parameter, moisture: Parameter) -> Spectra:
    """Return spectra of bare soil: `brightness` near 1000 nm when dry, `iron` oxide and `moisture` from 0 to 1."""
    rise = 1.0 - np.exp(-(nm - 280.0) / 380.0)
    oxide = iron[:, None] * (0.9 * _bump(nm, 460.0, 75.0) + 0.18 * _bump(nm, 880.0, 60.0))
    wet = moisture[:, None] * (0.55 + _liquid_water(nm))
    return brightness[:, None] * rise * np.exp(-oxide - wet)


def asphalt(nm: Wavelengths, brightness: Parameter, age: Parameter) -> Spectra:
    """Return spectra of asphalt or bitumen: dark and flat when new, brighter and slightly rising with `age` (0..1)."""
    slope = (0.10 + 0.35 * age)[:, None] * (1.0 - np.exp(-(nm - 380.0) / 300.0))
    return (brightness * (0.75 + 0.5 * age))[:, None] * (0.85 + slope)


def concrete(nm: Wavelengths, brightness: Parameter, dirt: Parameter) -> Spectra:
    """Return spectra of concrete or gravel: a rise up to 600 nm, then flat; `dirt` (0..1) yellows and darkens."""
    rise = 1.0 - (0.30 + 0.35 * dirt)[:, None] * np.exp(-(nm - 380.0) / (110.0 + 60.0 * dirt[:, None]))
    return (brightness * (1.0 - 0.35 * dirt))[:, None] * rise


def clay_tile(nm: Wavelengths, brightness: Parameter, iron: Parameter, weathering: Parameter) -> Spectra:
    """Return spectra of fired clay: the iron oxide edge near 575 nm, flattened by `weathering` (0..1)."""
    edge = 0.22 + 0.78 * _step(nm, 560.0 + 30.0 * iron, 22.0)
    oxide = np.exp(-0.25 * iron[:, None] * _bump(nm, 870.0, 65.0))
    grey = 0.45 + 0.15 * (1.0 - np.exp(-(nm - 380.0) / 300.0))
    return brightness[:, None] * (weathering[:, None] * grey + (1.0 - weathering[:, None]) * edge * oxide)


def water_body(nm: Wavelengths, depth: Parameter, sediment: Parameter) -> Spectra:
    """Return spectra of water: dark and falling with `depth` (0..1), lifted around 580 nm and beyond by `sediment`."""
    clear = 0.025 + 0.035 * np.exp(-(nm - 400.0) / 130.0) * 1.6 * np.exp(-depth[:, None])
    cloudy = sediment[:, None] * (
        0.06 * _bump(nm, 575.0, 55.0) + 0.03 * _bump(nm, 700.0, 60.0) + 0.012 * _bump(nm, 810.0, 40.0)
    )
    return clear * np.exp(-0.8 * np.clip((nm - 700.0) / 300.0, 0.0, None)) + cloudy


def car_paint(nm: Wavelengths, brightness: Parameter, hue: Parameter) -> Spectra:
    """Return spectra of car paint: grey of some `brightness`, tinted below or above 580 nm by `hue` (-1..1)."""
    tint = hue[:, None] * (_step(nm, np.full_like(hue, 580.0), 25.0) - 0.5)
    return brightness[:, None] * np.clip(1.0 + tint, 0.05, None)


@dataclass(frozen=True)
class Draw:
    """Draws one parameter for each of n objects, their differences scaled by `variety`."""

    rng: np.random.Generator
    n: int
    variety: float

    def __call__(self, centre: float, spread: float, lowest: float = 0.0) -> Parameter:
        """Return (n,) normal values, cut at two deviations and at `lowest`: what the models are meant for."""
        normal = np.clip(self.rng.standard_normal(self.n), -2.0, 2.0)
        return np.maximum(centre + self.variety * spread * normal, lowest)


def _vegetation_pair(
    nm: Wavelengths, draw: Draw, leaf: tuple[float, float, float], gaps: float
) -> tuple[Spectra, Spectra]:
    """Return (foliage, what lies between it): `leaf` holds mean chlorophyll, red edge and plateau."""
    chlorophyll, red_edge, plateau = leaf
    green = vegetation(
        nm,
        draw(chlorophyll, 0.35, 0.8),
        draw(red_edge, 4.0, 690.0),
        draw(plateau, 0.05, 0.2),
        draw(1.0, 0.25, 0.2),
    )
    below = soil(nm, draw(gaps, 0.05, 0.08), draw(0.5, 0.2, 0.0), draw(0.3, 0.15, 0.0))
    return green, below


def object_spectra(
    kind: str, nm: Wavelengths, n: int, variety: float, rng: np.random.Generator
) -> tuple[Spectra, Spectra]:
    """Return ((n, B), (n, B)): the prevailing and the minor material of n objects of one kind.

    Every pixel of an object mixes the two: leaves and the soil between them, tiles and the moss on them. Several kinds
    share a material on purpose: roads, parking lots and bitumen roofs; pavements and gravel roofs; lawns, young crops
    and crowns overlap. Such classes are told apart by height or by what surrounds them.
    """
    draw = Draw(rng, n, variety)
    if kind == "lawn":
        return _vegetation_pair(nm, draw, (2.2, 712.0, 0.44), 0.34)
    if kind == "meadow":
        return _vegetation_pair(nm, draw, (2.0, 710.0, 0.40), 0.32)
    if kind == "crop":
        return _vegetation_pair(nm, draw, (2.4, 714.0, 0.47), 0.28)
    if kind == "broadleaf":
        return _vegetation_pair(nm, draw, (2.4, 714.0, 0.46), 0.16)
    if kind == "conifer":
        return _vegetation_pair(nm, draw, (2.6, 716.0, 0.34), 0.12)
    if kind == "soil":
        dry = soil(nm, draw(0.40, 0.07, 0.15), draw(0.7, 0.3, 0.1), draw(0.35, 0.2, 0.0))
        return dry, vegetation(nm, draw(1.8, 0.3, 0.8), draw(711.0, 4.0, 690.0), draw(0.38, 0.05), draw(0.9, 0.2))
    if kind in ("roadway", "lot", "bitumen"):
        surface = asphalt(nm, draw(0.12, 0.025, 0.04), draw(0.5, 0.25, 0.0))
        return surface, asphalt(nm, draw(0.12, 0.04, 0.04), draw(0.5, 0.3, 0.0))
    if kind in ("concrete", "gravel"):
        slabs = concrete(nm, draw(0.30, 0.055, 0.12), draw(0.4, 0.2, 0.0))
        return slabs, soil(nm, draw(0.30, 0.06, 0.1), draw(0.5, 0.2, 0.0), draw(0.3, 0.2, 0.0))
    if kind == "tile":
        tiles = clay_tile(nm, draw(0.32, 0.06, 0.12), draw(0.7, 0.3, 0.0), np.minimum(draw(0.35, 0.2, 0.0), 0.9))
        return tiles, vegetation(nm, draw(1.6, 0.3, 0.8), draw(708.0, 3.0, 690.0), draw(0.28, 0.05), draw(0.6, 0.2))
    if kind == "car":
        paint = car_paint(nm, 0.04 + 0.5 * rng.beta(1.0, 1.6, n), np.clip(draw(0.0, 0.5, -1.0), -1.0, 1.0))
        return paint, car_paint(nm, np.full(n, 0.05), np.zeros(n))
    if kind == "water":
        return water_body(nm, draw(0.7, 0.25, 0.0), draw(0.3, 0.2, 0.0)), water_body(
            nm, draw(0.3, 0.15, 0.0), draw(1.0, 0.4, 0.2)
        )
    raise ValueError(f"no material model for {kind!r}")

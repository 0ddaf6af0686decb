"""What the sensors make of the ground: light and shadow, footprints, noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage

from diffclip.scene.simulation.canvas import Canvas, footprint
from diffclip.scene.simulation.classes import KINDS
from diffclip.scene.simulation.fields import smooth_field
from diffclip.scene.simulation.options import SimulationOptions

SKYLIGHT = 0.20  # share of diffuse light at 550 nm under a clear sky
RELIEF = 1.2  # m: deviation of the gentle ground relief
LIDAR_WAVELENGTH = 1064.0  # nm, the common airborne laser
POROUS = ("broadleaf", "conifer")  # crowns through which some pulses reach lower leaves or the ground


def sunlight(canvas: Canvas, options: SimulationOptions, rng: np.random.Generator) -> Float32[np.ndarray, "H W"]:
    """Return the direct sunlight on every pixel: 1 on level open ground, more on sunny slopes, 0 in full shadow."""
    ground = RELIEF * smooth_field(rng, canvas.kind.shape, 45.0 / options.gsd)
    slope = canvas.slope + np.array(np.gradient(ground, options.gsd))
    slope[:, canvas.kind == KINDS.index("water")] = 0.0
    elevation, azimuth = np.radians(options.sun_elevation), np.radians(options.sun_azimuth)
    # North is up: rows grow southwards, columns eastwards; the surface normal is (-slope, 1).
    facing = slope[0] * np.cos(azimuth) - slope[1] * np.sin(azimuth)
    incidence = (facing * np.cos(elevation) + np.sin(elevation)) / np.sqrt(1.0 + (slope**2).sum(axis=0))
    direct = np.clip(incidence, 0.0, None) / np.sin(elevation)
    return np.where(cast_shadow(canvas.height, options), 0.0, direct).astype(np.float32)


def cast_shadow(height: Float32[np.ndarray, "H W"], options: SimulationOptions) -> np.ndarray:
    """Return (H, W) bool: pixels from which something taller hides the sun."""
    azimuth = np.radians(options.sun_azimuth)
    drop = np.tan(np.radians(options.sun_elevation)) * options.gsd  # m that a sun ray climbs per pixel
    hidden = np.zeros(height.shape, bool)
    for step in range(1, int(np.ceil(height.max() / drop)) + 1):
        # A shift by (-a, -b) brings the pixel at (r + a, c + b), which lies towards the sun, to (r, c).
        towards_sun = -step * np.cos(azimuth), step * np.sin(azimuth)
        blocker = ndimage.shift(height, (-towards_sun[0], -towards_sun[1]), order=1, mode="constant", cval=0.0)
        # 0.3 m of tolerance: a crown does not shade itself pixel by pixel.
        hidden |= blocker - step * drop > height + 0.3
    return hidden


def hyperspectral(
    reflectance: Float32[np.ndarray, "H W B"],
    light: Float32[np.ndarray, "H W"],
    nm: Float64[np.ndarray, " B"],
    options: SimulationOptions,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "H W B"]:
    """Return the cube as delivered: apparent reflectance, not corrected for shadow and slope.

    Skylight is bluer than sunlight, so shadows are dark and blue. The Gaussian footprint mixes neighbouring pixels
    linearly. Noise grows towards both ends of the spectrum, where detectors are insensitive.
    """
    sky = SKYLIGHT * (550.0 / nm) ** 2
    sky = (sky / (1.0 + sky)).astype(np.float32)
    haze = 1.0 + 0.05 * smooth_field(rng, light.shape, 60.0 / options.gsd)
    cube = reflectance * (light[..., None] * (1.0 - sky) + sky) * haze[..., None]
    cube = footprint(cube, options.mixing)
    position = np.linspace(-1.0, 1.0, len(nm))
    deviation = options.noise * (1.0 + 2.5 * position**4)
    cube += deviation.astype(np.float32) * rng.standard_normal(cube.shape, dtype=np.float32)
    return np.clip(cube, 0.0, 1.5, out=cube)


def lidar(
    canvas: Canvas,
    laser_reflectance: Float32[np.ndarray, "H W"],
    options: SimulationOptions,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "H W 2"]:
    """Return height above ground in m and return intensity (about 0 to 1, without unit).

    The laser brings its own light and sees no shadows; its intensity suffers from speckle and from gain that drifts
    with angle and range. The ground below is interpolated, so heights are off by some centimetres over large areas.
    """
    shape = canvas.kind.shape
    porous = np.isin(canvas.kind, [KINDS.index(kind) for kind in POROUS])
    deeper = porous & (rng.random(shape) < 0.2)
    height = np.where(deeper, canvas.height * rng.uniform(0.1, 0.9, shape), canvas.height)
    height = footprint(height.astype(np.float32), 0.8 * options.mixing)
    height += 0.12 * smooth_field(rng, shape, 25.0 / options.gsd)
    height += options.lidar_noise * rng.standard_normal(shape, dtype=np.float32)
    steepness = 1.0 / np.sqrt(1.0 + (canvas.slope**2).sum(axis=0))
    gain = 1.0 + 0.15 * smooth_field(rng, shape, 40.0 / options.gsd)
    returned = np.where(deeper, 0.6, 1.0) * laser_reflectance * steepness
    intensity = footprint(returned.astype(np.float32), options.mixing) * gain
    # Speckle: the mean of a few independent looks is gamma distributed.
    intensity *= rng.gamma(12.0, 1.0 / 12.0, shape)
    return np.stack([height, intensity], axis=-1).astype(np.float32)

"""Draws the simulated scene: every ingredient from a generator of its own."""

from __future__ import annotations

import numpy as np

from diffclip.scene.scene import Scene, SceneInfo
from diffclip.scene.simulation.annotation import annotate
from diffclip.scene.simulation.classes import LAND_COVER
from diffclip.scene.simulation.layout import draw_map
from diffclip.scene.simulation.options import SimulationOptions
from diffclip.scene.simulation.reflectance import reflectance
from diffclip.scene.simulation.sensor import LIDAR_WAVELENGTH, hyperspectral, lidar, sunlight

INGREDIENTS = ("map", "materials", "texture", "relief", "cube", "lidar", "annotation")


def draw_scene(options: SimulationOptions, name: str) -> Scene:
    """Return the scene of `simulate`: hsi (H, W, B) in reflectance, aux (H, W, 2), labels (H, W) in 0..10."""
    seeds = np.random.SeedSequence(options.seed).spawn(len(INGREDIENTS))
    draws = {key: np.random.default_rng(seed) for key, seed in zip(INGREDIENTS, seeds, strict=True)}
    nm = np.linspace(*options.wavelength_range, options.bands)
    canvas = draw_map(options, draws["map"])
    # One band more than the cube has, so that laser and camera look at the very same materials.
    ground = reflectance(
        canvas, np.append(nm, LIDAR_WAVELENGTH), options.within_class_variety, draws["materials"], draws["texture"]
    )
    light = sunlight(canvas, options, draws["relief"])
    return Scene(
        name=name,
        hsi=hyperspectral(ground[..., :-1], light, nm, options, draws["cube"]),
        aux=lidar(canvas, ground[..., -1], options, draws["lidar"]),
        labels=annotate(canvas, options, draws["annotation"]),
        class_names=tuple(cover.name for cover in LAND_COVER),
        info=_info(options, nm),
    )


def _info(options: SimulationOptions, nm: np.ndarray) -> SceneInfo:
    red, green, blue = (int(np.argmin(np.abs(nm - target))) for target in (650.0, 550.0, 450.0))
    return SceneInfo(
        title="Simulated suburb",
        simulated=True,
        wavelengths=tuple(float(wavelength) for wavelength in nm),
        gsd=options.gsd,
        false_colour=(red, green, blue),
        aux_names=("height above ground [m]", "return intensity"),
        descriptions=tuple(cover.description for cover in LAND_COVER),
        colours=tuple(cover.colour for cover in LAND_COVER),
        citation="Simulated by the DiffCLIP benchmark suite; no sensor saw it. Please cite the suite.",
        terms="Free to use with the suite.",
    )

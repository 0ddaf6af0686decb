"""A scene that no sensor ever saw: suburb and farmland, made from a seed, for tests and the embedded quick study.

Cards need the options alone, so that the simulator, and SciPy with it, is imported by those who call `simulate`.
"""

from __future__ import annotations

from diffclip.scene.scene import Scene
from diffclip.scene.simulation.options import SimulationOptions

__all__ = ["SimulationOptions", "simulate"]


def simulate(options: SimulationOptions, name: str = "simulated") -> Scene:
    """Return a simulated scene: hyperspectral cube, LiDAR height and intensity, and labels of ten classes.

    The same options give the same scene, byte for byte. Every ingredient draws from a generator of its own, so that,
    say, another noise level leaves the map as it is.
    """
    from diffclip.scene.simulation.simulator import draw_scene

    return draw_scene(options, name)

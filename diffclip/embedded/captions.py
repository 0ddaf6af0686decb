"""What is said of a window in a simulated scene: its class in many words, and what lies beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffclip.language.prompts import TEMPLATES
from diffclip.scene.simulation.classes import LAND_COVER

# Other words for the simulator's classes, so that scenes with names of their own are understood, too.
_OTHER_WORDS = {
    "grass": ("lawn", "meadow", "healthy grass"),
    "crops": ("farmland", "crop field"),
    "trees": ("tree", "woods"),
    "bare soil": ("soil", "bare ground"),
    "road": ("street", "asphalt road"),
    "parking lot": ("car park", "parked cars"),
    "pavement": ("sidewalk", "concrete path"),
    "tile roof": ("residential building", "house"),
    "flat roof": ("commercial building", "large building"),
    "water": ("lake", "pond"),
}
_SENTENCES = tuple(
    tuple(f"{sentence.strip()}." for sentence in cover.description.split(".") if sentence.strip())
    for cover in LAND_COVER
)
_FRAMES = tuple(template for templates in TEMPLATES.values() for template in templates)


def caption(label: int, neighbours: Sequence[int], draw: np.random.Generator) -> str:
    """Return a caption of a window.

    Args:
        label: 1..K, class of its centre.
        neighbours: other classes in it, perhaps none.
        draw: chooses the words.
    """
    cover = LAND_COVER[label - 1]
    kind = draw.random()
    if kind < 0.1:
        return cover.description
    if kind < 0.3:
        return f"{cover.name}: {draw.choice(_SENTENCES[label - 1])}"
    frame = str(draw.choice(_FRAMES))
    name = cover.name if draw.random() < 0.6 else str(draw.choice(_OTHER_WORDS[cover.name]))
    if neighbours and kind < 0.5:
        name = f"{name} next to {LAND_COVER[int(draw.choice(list(neighbours))) - 1].name}"
    return frame.format(name)

"""Ground truth as an annotator leaves it: borders undecided, parts of every class never visited."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16

from diffclip.scene.simulation.canvas import Canvas, footprint
from diffclip.scene.simulation.classes import KINDS, LABEL_OF_KIND, LAND_COVER
from diffclip.scene.simulation.fields import smooth_field
from diffclip.scene.simulation.options import SimulationOptions

BLUR = 1.0  # pixels: how far around a pixel an annotator looks
PUREST = 0.72  # share of this surrounding that must be of one class for a pixel to be annotated
FEWEST = 24  # pixels that every class keeps if it has them at all


def annotate(canvas: Canvas, options: SimulationOptions, rng: np.random.Generator) -> Int16[np.ndarray, "H W"]:
    """Return the labels: 0 where nothing was annotated, else 1..K."""
    truth = np.array([LABEL_OF_KIND[kind] for kind in KINDS], np.int16)[canvas.kind]
    attention = smooth_field(rng, truth.shape, 7.0 / options.gsd)
    labels = np.zeros_like(truth)
    for label in range(1, len(LAND_COVER) + 1):
        own = truth == label
        purity = footprint(own.astype(np.float32), BLUR)[own]
        pure = purity >= PUREST
        keep = round((1.0 - options.unlabelled) * int(pure.sum()))
        # Mixed pixels rank behind all pure ones, and are reached only where a class would have too few.
        rank = np.argsort(-(attention[own] + 100.0 * np.where(pure, 1.0, purity)), kind="stable")
        chosen = rank[: max(keep, min(FEWEST, len(rank)))]
        labels.ravel()[np.flatnonzero(own)[chosen]] = label
    return labels

"""The map of a simulated scene: a road network, the blocks between the roads, and what stands on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diffclip.scene.simulation.blocks import commercial, farmland, park, residential
from diffclip.scene.simulation.canvas import Box, Canvas
from diffclip.scene.simulation.fields import smooth_field
from diffclip.scene.simulation.options import SimulationOptions

BLOCK_SIDE = 33.0  # m: blocks are halved until their longer side is below 1.45 times this
MARGIN = 6.0  # m drawn around the scene, so that the scene's border cuts through blocks
BEND = 3.0  # m by which roads and walls sway from straight lines
ROAD_WIDTHS = (7.0, 5.0, 4.0)  # m, by order of branching

Builder = Callable[[np.random.Generator, Canvas, Box], None]

# From the outskirts to the centre, with the share of all blocks that each gets.
DISTRICTS: tuple[tuple[Builder, float], ...] = (
    (farmland, 0.38),
    (park, 0.12),
    (residential, 0.38),
    (commercial, 0.12),
)


def draw_map(options: SimulationOptions, rng: np.random.Generator) -> Canvas:
    """Return the finished map, (height, width) pixels, with every kind of block on it at least once."""
    margin = max(1, round(MARGIN / options.gsd))
    shape = (options.height, options.width)
    canvas = Canvas.blank((options.height + 2 * margin, options.width + 2 * margin), options.gsd, "roadway")
    blocks = _road_network(rng, canvas)
    for block, build in zip(blocks, _districts(rng, blocks), strict=True):
        build(rng, canvas, block)
    bend = np.stack([smooth_field(rng, shape, 90.0 / options.gsd) for _ in range(2)])
    bend *= 0.5 * BEND / options.gsd
    return canvas.bent(np.clip(bend, -margin, margin), margin)


def _road_network(rng: np.random.Generator, canvas: Canvas) -> list[Box]:
    """Split the map into blocks by roads that branch off each other; every road is an object of its own."""
    inset = canvas.pixels(MARGIN / 2)
    waiting = [(canvas.box.shrunk(inset), 0)]
    blocks = []
    while waiting:
        box, level = waiting.pop()
        upright = box.rows > box.cols
        along = box.oriented(upright)
        # Two levels at least: four blocks, one for each kind of district.
        longest = 1.45 * canvas.pixels(BLOCK_SIDE)
        # Large scenes get some larger blocks, or the network would look like graph paper.
        if level >= 5 and rng.random() < 0.3:
            longest *= 1.5
        if level >= 2 and along.cols < longest:
            blocks.append(box)
            continue
        width = canvas.pixels(ROAD_WIDTHS[min(level, len(ROAD_WIDTHS) - 1)])
        spread = 0.03 if level < 2 and along.cols < 2 * canvas.pixels(BLOCK_SIDE) else 0.09
        start = along.left + round((along.cols - width) * rng.uniform(0.5 - spread, 0.5 + spread))
        road = Box(along.top, start, along.bottom, start + width)
        canvas.rectangle(road.oriented(upright), "roadway")
        halves = (along._replace(right=road.left), along._replace(left=road.right))
        waiting += [(half.oriented(upright), level + 1) for half in halves]
    return blocks


def _districts(rng: np.random.Generator, blocks: list[Box]) -> list[Builder]:
    """Choose what every block becomes: fields on one side of the scene, shops on the other, each kind at least once."""
    n = len(blocks)
    shares = np.array([share for _, share in DISTRICTS])
    counts = np.maximum(1, np.floor(shares * n)).astype(int)
    while counts.sum() != n:
        step = 1 if counts.sum() < n else -1
        gap = np.where((step > 0) | (counts > 1), step * (shares * n - counts), -np.inf)
        counts[np.argmax(gap)] += step
    angle = rng.uniform(0.0, 2.0 * np.pi)
    centres = np.array([((box.top + box.bottom) / 2, (box.left + box.right) / 2) for box in blocks])
    centrality = centres @ (np.cos(angle), np.sin(angle))
    centrality += 0.35 * centrality.std() * rng.standard_normal(n)
    chosen = np.repeat(np.arange(len(DISTRICTS)), counts)
    ranks = np.argsort(np.argsort(centrality))
    return [DISTRICTS[chosen[rank]][0] for rank in ranks]

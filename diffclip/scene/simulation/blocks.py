"""What is built and grown on a block: farmland, park, houses, shops."""

from __future__ import annotations

import itertools

import numpy as np

from diffclip.scene.simulation.canvas import Box, Canvas

SIDEWALK = 3.0  # m
VERGE = 1.5  # m


def farmland(rng: np.random.Generator, canvas: Canvas, block: Box) -> None:
    """Fill a block with two to four strips of crops, bare soil or meadow within a grass verge."""
    canvas.rectangle(block, "meadow")
    inner = block.shrunk(canvas.pixels(VERGE))
    upright = inner.rows > inner.cols
    along = inner.oriented(upright)
    n = 2 if along.cols < canvas.pixels(24.0) else int(rng.integers(2, 5))
    # The first two are what farmland must have; the others are as they come.
    kinds = [*rng.permutation(["crop", "soil"]), *rng.choice(["crop", "soil", "meadow"], 2, p=[0.6, 0.15, 0.25])][:n]
    cuts = np.sort(np.linspace(0.0, 1.0, n + 1)[1:-1] + rng.uniform(-0.07, 0.07, n - 1))
    edges = [along.left, *(along.left + np.rint(cuts * along.cols).astype(int)).tolist(), along.right]
    for kind, (left, right) in zip(rng.permutation(kinds), itertools.pairwise(edges), strict=True):
        height = {"crop": rng.uniform(0.1, 0.9), "meadow": rng.uniform(0.05, 0.4)}.get(str(kind), 0.0)
        canvas.rectangle(along._replace(left=left, right=right).oriented(upright), str(kind), height)
    if rng.random() < 0.5:
        _tree_row(rng, canvas, along._replace(bottom=along.top + 1).oriented(upright), spacing=6.0)


def park(rng: np.random.Generator, canvas: Canvas, block: Box) -> None:
    """Fill a block with a lawn, a path, clumps of trees and a pond."""
    canvas.rectangle(block, "concrete")
    inner = block.shrunk(canvas.pixels(SIDEWALK))
    canvas.rectangle(inner, "lawn", 0.05)
    row = inner.top + round(inner.rows * rng.uniform(0.75, 0.85))
    canvas.rectangle(inner._replace(top=row, bottom=row + canvas.pixels(3.0)), "concrete")
    pond = (inner.top + 0.42 * inner.rows, inner.left + inner.cols * rng.uniform(0.45, 0.55))
    radii = (
        min(rng.uniform(5.0, 5.8) / canvas.gsd, 0.4 * inner.rows),
        min(rng.uniform(6.8, 7.8) / canvas.gsd, 0.4 * inner.cols),
    )
    canvas.pond(*pond, radii, rng.uniform(0.0, 2.0 * np.pi))
    area = inner.rows * inner.cols * canvas.gsd**2
    for _ in range(max(3, round(area / 75.0))):
        clump = rng.uniform(inner.top, inner.bottom), rng.uniform(inner.left, inner.right)
        kind = str(rng.choice(["broadleaf", "conifer"], p=[0.7, 0.3]))
        for _ in range(int(rng.integers(1, 6))):
            row, col = clump + rng.normal(0.0, 3.0 / canvas.gsd, 2)
            _tree(rng, canvas, row, col, kind)


def residential(rng: np.random.Generator, canvas: Canvas, block: Box) -> None:
    """Fill a block with one or two rows of lots: a house with driveway and garden each, trees along the street."""
    canvas.rectangle(block, "concrete")
    inner = block.shrunk(canvas.pixels(SIDEWALK))
    upright = inner.rows > inner.cols
    along = inner.oriented(upright)
    middle = (along.top + along.bottom) // 2
    two_rows = along.rows >= canvas.pixels(26.0)
    rows = [along._replace(bottom=middle), along._replace(top=middle)] if two_rows else [along]
    for index, row in enumerate(rows):
        n = max(1, round(row.cols / canvas.pixels(13.5)))
        edges = np.rint(np.linspace(row.left, row.right, n + 1)).astype(int)
        for left, right in itertools.pairwise(edges.tolist()):
            _lot(rng, canvas, row._replace(left=left, right=right), upright, street_below=index == 1)


def _lot(rng: np.random.Generator, canvas: Canvas, lot: Box, upright: bool, *, street_below: bool) -> None:
    """Paint one lot; `lot` is oriented along the street, which runs along its first or last row."""
    m = canvas.pixels
    canvas.rectangle(lot.oriented(upright), "lawn", 0.05)
    depth = min(m(rng.uniform(6.5, 9.0)), lot.rows - m(3.0))
    width = min(m(rng.uniform(7.5, 10.5)), lot.cols - m(3.0))
    setback = min(m(rng.uniform(2.5, 4.5)), lot.rows - depth - 1)
    left = lot.left + m(1.0) + int(rng.integers(0, max(1, lot.cols - width - m(2.0))))
    top = lot.bottom - setback - depth if street_below else lot.top + setback
    house = Box(top, left, top + depth, left + width)
    driveway = Box(house.bottom, left, lot.bottom, left + m(2.5))
    if not street_below:
        driveway = driveway._replace(top=lot.top, bottom=house.top)
    canvas.rectangle(driveway.oriented(upright), "concrete")
    canvas.gable(house.oriented(upright), "tile", rng.uniform(3.0, 5.5), rng.uniform(1.5, 3.0))
    if rng.random() < 0.35:
        garage = Box(house.top, house.right, house.top + m(5.0), min(house.right + m(3.5), lot.right))
        canvas.rectangle(garage.oriented(upright), str(rng.choice(["bitumen", "gravel"])), rng.uniform(2.6, 3.2))
    back = lot._replace(bottom=house.top) if street_below else lot._replace(top=house.bottom)
    for yard, most in ((back, 4), (lot, 3)):
        for _ in range(int(rng.integers(1, most))):
            spot = yard.oriented(upright)
            row, col = rng.uniform(spot.top, max(spot.bottom, spot.top + 1)), rng.uniform(spot.left, spot.right)
            _tree(rng, canvas, row, col, str(rng.choice(["broadleaf", "conifer"], p=[0.75, 0.25])), smaller=0.9)


def commercial(rng: np.random.Generator, canvas: Canvas, block: Box) -> None:
    """Fill a block with a large flat building beside a parking lot with rows of cars and some trees."""
    canvas.rectangle(block, "concrete")
    inner = block.shrunk(canvas.pixels(SIDEWALK))
    canvas.rectangle(inner, "lot")
    upright = inner.rows > inner.cols
    along = inner.oriented(upright)
    share = rng.uniform(0.42, 0.52)
    hall = along._replace(right=along.left + round(share * along.cols))
    lot = along._replace(left=hall.right + 1)
    if rng.random() < 0.5:
        hall, lot = along._replace(left=along.right - hall.cols), along._replace(right=along.right - hall.cols - 1)
    _hall(rng, canvas, hall.shrunk(1), upright)
    _cars(rng, canvas, lot, upright)
    _tree_row(rng, canvas, along._replace(bottom=along.top + 1).oriented(upright), spacing=9.0)


def _hall(rng: np.random.Generator, canvas: Canvas, hall: Box, upright: bool) -> None:
    """Paint a flat building in two wings of different height and roofing."""
    kinds = [str(kind) for kind in rng.permutation(["bitumen", "gravel"])]
    if rng.random() < 0.5:
        kinds[1] = kinds[0]
    cut = hall.top + round(hall.rows * rng.uniform(0.35, 0.65))
    for wing, kind in zip((hall._replace(bottom=cut), hall._replace(top=cut)), kinds, strict=True):
        canvas.rectangle(wing.oriented(upright), kind, rng.uniform(4.5, 10.5))


def _cars(rng: np.random.Generator, canvas: Canvas, lot: Box, upright: bool) -> None:
    """Park cars side by side in rows across the lot."""
    length, width, aisle = canvas.pixels(4.0), canvas.pixels(2.0), canvas.pixels(5.0)
    for left in range(lot.left + canvas.pixels(2.0), lot.right - length, length + aisle):
        for top in range(lot.top + 1, lot.bottom - width, width + 1):
            if rng.random() < 0.55:
                car = Box(top, left, top + width, left + length)
                canvas.rectangle(car.oriented(upright), "car", rng.uniform(1.4, 1.9))


def _tree(rng: np.random.Generator, canvas: Canvas, row: float, col: float, kind: str, smaller: float = 1.0) -> None:
    """Grow one tree; conifers are narrower and taller than broadleaved trees."""
    radius = smaller * (rng.uniform(2.0, 4.2) if kind == "broadleaf" else rng.uniform(1.7, 2.7))
    top = radius * (rng.uniform(1.9, 3.0) if kind == "broadleaf" else rng.uniform(3.2, 4.6))
    canvas.crown(row, col, radius / canvas.gsd, top, kind)


def _tree_row(rng: np.random.Generator, canvas: Canvas, line: Box, spacing: float) -> None:
    """Plant trees of one kind along a line of pixels, `spacing` m apart, some missing."""
    step = canvas.pixels(spacing)
    kind = str(rng.choice(["broadleaf", "conifer"]))
    for row in range(line.top, line.bottom, step):
        for col in range(line.left, line.right, step):
            if rng.random() < 0.75:
                _tree(rng, canvas, row + rng.normal(0, 0.5), col + rng.normal(0, 0.5), kind, smaller=0.7)

"""Rasters too large for memory: mapped from disk, and worked on a few rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

MAPPED_ABOVE = 4e9  # bytes of a prepared raster that is mapped instead of read; the paper's scenes have 0.4e9
_BLOCK = 2**24  # values worked on at a time: 128 MB in double precision


def is_mapped(array: np.ndarray) -> bool:
    """Return whether an array, or what it is a view of, lies mapped on disk."""
    found: object = array
    while isinstance(found, np.ndarray):
        if isinstance(found, np.memmap):
            return True
        found = found.base
    return False


def row_blocks(array: np.ndarray) -> Iterator[slice]:
    """Yield the rows of an array in slices: all at once of one in memory, a few at a time of a mapped one."""
    rows = len(array)
    step = max(1, _BLOCK // max(1, array[0].size)) if is_mapped(array) and rows else max(1, rows)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def worked_through(array: np.ndarray, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return what `work` makes of an array's rows, as float32: in memory, or of a mapped array mapped too.

    The file of a mapped result loses its name at once and is gone with its last use; until then it takes as much disk
    as the array, below the folder for temporary files (TMPDIR).
    """
    if not is_mapped(array):
        return work(array).astype(np.float32)
    with tempfile.NamedTemporaryFile(prefix="diffclip-", suffix=".raw") as file:
        for rows in row_blocks(array):
            file.write(np.ascontiguousarray(work(array[rows]), dtype=np.float32).data)
        file.flush()
        return np.memmap(Path(file.name), np.float32, mode="r", shape=array.shape)

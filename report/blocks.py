"""Scenes at numbers of shots as the blocks over which methods are ranked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from report.frame import Entry, View, entries, view
from report.statistics.ranks import LEAST_BLOCKS, LEAST_METHODS
from report.study import Study


@dataclass(frozen=True, eq=False)
class Blocks:
    """Methods that have all runs in every block.

    Attributes:
        entries: the k methods.
        left_out: names of methods that lack runs.
        names: of the N blocks: a scene at a number of shots.
        runs: (N, k, seeds) overall accuracies.
    """

    entries: list[Entry]
    left_out: list[str]
    names: list[str]
    runs: np.ndarray


def blocks_of(study: Study, runs: pd.DataFrame, protocol: str) -> Blocks:
    """Return the accuracies that are ranked under a protocol: of methods, not of controls, that lack no run."""
    views: list[View] = [view(study, runs, scene, protocol) for scene in study.scenes]
    values = np.concatenate([np.moveaxis(found.scores("oa"), 1, 0) for found in views])
    shown = entries(runs, study.main.rows, pd.concat([found.runs for found in views]))
    rivals = [not entry.control for entry in shown]
    # A block that nobody has is no block; methods are then compared over the others.
    kept = ~np.isnan(values[:, rivals]).all(axis=(1, 2))
    whole = ~np.isnan(values[kept]).any(axis=(0, 2)) & np.array(rivals) & bool(kept.any())
    names = [f"{scene} at {shots}" for scene in study.scenes for shots in study.main.shots]
    return Blocks(
        entries=[entry for entry, holds in zip(shown, whole, strict=True) if holds],
        left_out=[entry.name for entry, holds in zip(shown, whole, strict=True) if not holds and not entry.control],
        names=[name for name, holds in zip(names, kept, strict=True) if holds],
        runs=values[kept][:, whole],
    )


def not_ranked(found: Blocks) -> str:
    """Return why methods have no ranks."""
    return (
        f"Not ranked. Methods with all runs: {len(found.entries)}, expected {LEAST_METHODS} or more; blocks: "
        f"{len(found.names)}, expected {LEAST_BLOCKS} or more."
    )

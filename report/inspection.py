"""What an inspected run learned, as `diffclip inspect` and the logs of stage 1 tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.errors import UserError
from diffclip.study import layout
from report.captions import shots_text
from report.frame import View, entries
from report.stored import read_arrays, read_json
from report.study import Inspection, Row

_MODALITIES = {"hsi": "Hyperspectral", "aux": "Auxiliary rasters", "lidar": "LiDAR"}


@dataclass(frozen=True)
class Inspected:
    """One run's pictures and features.

    Attributes:
        name: of the method, with its variant.
        asked: what the study asked to inspect.
        identity: of the run: window, mask ratio, ...
        checkpoint: "SCENE/NAME" of its stage 1.
        arrays: as `diffclip inspect` describes them.
    """

    name: str
    asked: Inspection
    identity: Mapping[str, Any]
    checkpoint: str
    arrays: Mapping[str, np.ndarray]

    @property
    def modalities(self) -> list[str]:
        """Those that the model sees, in its order."""
        return self.arrays["modalities"].tolist()

    @property
    def settings(self) -> str:
        """What a note says of the run's window and mask ratio."""
        ratio = self.identity["mask_ratio"]
        masked = "" if ratio is None else f", mask ratio {ratio:g}"
        return f"Window {self.identity['window']}{masked}."

    @property
    def run(self) -> str:
        """What a note says of the run."""
        return f"{shots_text(self.asked.shots)}, seed {self.asked.seed}"


def modality_title(name: str) -> str:
    """Return what a figure calls a modality: "SAR" for "sar"."""
    return _MODALITIES.get(name, name.upper())


def read_inspected(view: View, row: Row) -> Inspected | None:
    """Return what a run of the view's scene shows, or None while it is not inspected.

    The study's settings choose among files of other shots, windows or mask ratios that may lie beside it.

    Raises:
        UserError: a file there is not what `diffclip inspect` writes.
    """
    asked = view.study.inspection
    assert asked is not None
    place = layout.INSPECTION.format(
        scene=view.scene, protocol=asked.protocol, method=row[0], variant=row[1], point="*", seed=asked.seed
    )
    for path in sorted(view.study.folder.glob(place)):
        arrays = _arrays(path)
        identity = json.loads(str(arrays["identity"]))
        at = (identity["shots"], identity["window"], identity["mask_ratio"])
        if at[0] == asked.shots and at[1] in (None, view.study.window) and at[2] in (None, view.study.mask_ratio):
            name = entries(view.all_runs, [row], view.runs)[0].name
            return Inspected(name, asked, identity, str(arrays["checkpoint"]), arrays)
    return None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    found = read_arrays(path, "remove it so that 'diffclip inspect' writes it again")
    missing = {"identity", "checkpoint", "modalities", "times", "pixels", "labels"} - found.keys()
    if missing:
        raise UserError(f"{path}: {min(missing)} is missing, expected what 'diffclip inspect' writes")
    return {key: value.astype(np.float32) if value.dtype == np.float16 else value for key, value in found.items()}


@dataclass(frozen=True)
class Losses:
    """Loss curves of one stage 1 over its seeds.

    Attributes:
        seeds: those that have a log.
        steps: (n,) steps of training at which each mean ends.
        hidden, visible: (seeds, n, modalities) mean errors since the point before.
    """

    seeds: tuple[int, ...]
    steps: np.ndarray
    hidden: np.ndarray
    visible: np.ndarray


def read_losses(view: View, inspected: Inspected) -> Losses | None:
    """Return the loss curves of an inspected run's stage 1 over the study's seeds, or None where no log is there.

    Raises:
        UserError: logs that are not stage 1's, or of different lengths.
    """
    scene, _, checkpoint = inspected.checkpoint.partition("/")
    found = {}
    for seed in view.study.seeds:
        path = view.study.folder / layout.log_of(
            layout.CHECKPOINT.format(scene=scene, checkpoint=checkpoint, seed=seed)
        )
        if path.is_file():
            again = "remove it and the checkpoint beside it so that stage 1 is made again"
            found[seed] = read_json(path, again).get("measured", {})
    if not found:
        return None
    try:
        steps = {tuple(measured["step"]) for measured in found.values()}
        hidden, visible = (np.array([measured[key] for measured in found.values()]) for key in ("hidden", "visible"))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path.parent}: logs without loss curves, or of different lengths: {error}") from None
    return Losses(tuple(found), np.array(min(steps)), hidden, visible)

"""What the files of a prepared scene say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.errors import UserError
from diffclip.study import layout
from report.stored import read_array, read_json

_NEEDED = ("sha256", "height", "width", "bands", "aux_channels", "class_names", "pixels_per_class", "info")


def scene_file(study: Path, scene: str) -> Path:
    """Return where `scene.json` of a study's prepared scene is or would be."""
    return study / layout.SCENE.format(scene=scene)


def read_facts(study: Path, scene: str) -> Mapping[str, Any] | None:
    """Return what `scene.json` of a study's prepared scene holds, or None where it is not prepared.

    Raises:
        UserError: the file cannot be read or lacks a key.
    """
    path = scene_file(study, scene)
    if not path.is_file():
        return None
    found = read_json(path, prepare_again(path))
    for key in _NEEDED:
        if key not in found:
            raise UserError(f"{path}: key {key!r} is missing, expected a prepared scene; {prepare_again(path)}")
    info = found["info"]
    if not isinstance(info, dict) or not {"title", "simulated"} <= info.keys():
        raise UserError(f"{path}: info: found {info!r:.60}, expected title and simulated; {prepare_again(path)}")
    return found


def read_raster(study: Path, scene: str, name: str, mapped: bool = False) -> np.ndarray:
    """Return an array of a prepared scene, such as "labels" (H, W); `mapped`: it stays on disk as long as it can.

    Raises:
        UserError: the file is not there or cannot be read.
    """
    path = scene_file(study, scene)
    return read_array(path.with_name(f"{name}.npy"), prepare_again(path), mapped)


def prepare_again(path: Path) -> str:
    """Return how to go on where a file of a prepared scene is damaged, by its `scene.json`."""
    # A step whose scene.json is there would keep the arrays beside it as they are.
    return f"remove {path} so that the scene is prepared again"

"""A prepared scene on disk: one folder of .npy files and a `scene.json` that says what they are.

Every job of a study reads the same prepared scene; `scene.json` carries the checksum, so that a changed scene is seen
without reading its arrays.
"""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from diffclip.errors import DamagedFileError, UserError
from diffclip.files import read_array, read_json, write_atomically
from diffclip.scene import mapped
from diffclip.scene.scene import Scene, SceneInfo

_OPTIONAL = ("train_mask", "test_mask")


def summary(scene: Scene, origin: str) -> dict[str, Any]:
    """Return what `scene.json` holds: sizes, classes with their pixel counts, checksums and `SceneInfo`."""
    counts = np.bincount(scene.labels.ravel(), minlength=scene.n_classes + 1)
    found: dict[str, Any] = {
        "name": scene.name,
        "sha256": scene.sha256,
        "origin": origin,
        "height": scene.shape[0],
        "width": scene.shape[1],
        "bands": scene.hsi.shape[2],
        "aux_channels": scene.aux.shape[2],
        "class_names": list(scene.class_names),
        "pixels_per_class": counts[1:].tolist(),
        "unlabelled": int(counts[0]),
        "info": dataclasses.asdict(scene.info),
    }
    for key in _OPTIONAL:
        mask = getattr(scene, key)
        per_class = [] if mask is None else np.bincount(scene.labels[mask], minlength=scene.n_classes + 1)[1:].tolist()
        found[f"{key}_per_class"] = per_class or None
    return found


def save_scene(scene: Scene, folder: Path, origin: str = "") -> Path:
    """Write the scene below `folder` (`hsi.npy`, `aux.npy`, `labels.npy`, masks, `scene.json`); return the .json.

    `origin` is a checksum of what the scene was made from; it is kept in `scene.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # First gone and written last, so that a scene.json is never found beside half a scene.
    (folder / "scene.json").unlink(missing_ok=True)
    for key in ("hsi", "aux", "labels", *_OPTIONAL):
        array = getattr(scene, key)
        if array is None:
            (folder / f"{key}.npy").unlink(missing_ok=True)
        else:
            write_atomically(folder / f"{key}.npy", partial(_write_array, array))
    text = json.dumps(summary(scene, origin), indent=2) + "\n"
    return write_atomically(folder / "scene.json", lambda file: file.write(text.encode()))


def _write_array(array: np.ndarray, file: BinaryIO) -> None:
    np.save(file, array)


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the contents of a prepared scene's `scene.json`.

    Raises:
        UserError: no such file.
        DamagedFileError: it cannot be read.
    """
    path = folder / "scene.json"
    if not path.is_file():
        raise UserError(f"{path}: not found, expected a prepared scene; make it with 'diffclip scene NAME --out …'")
    return read_json(path)


def open_scene(folder: Path) -> Scene:
    """Read a prepared scene, as `save_scene` wrote it; rasters above `mapped.MAPPED_ABOVE` bytes stay on disk.

    Raises:
        UserError: no prepared scene.
        DamagedFileError: one of its files is missing or cannot be read.
    """
    found = read_summary(folder)
    arrays = {
        key: read_array(folder / f"{key}.npy", mapped_above=mapped.MAPPED_ABOVE) for key in ("hsi", "aux", "labels")
    }
    masks = {key: read_array(path) for key in _OPTIONAL if (path := folder / f"{key}.npy").is_file()}
    try:
        info: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found["info"].items()
        }
        names = tuple(found["class_names"])
        scene = Scene(found["name"], **arrays, class_names=names, info=SceneInfo(**info), **masks)
        # Known from when it was written; hashing a large scene again would cost every job a second.
        scene.__dict__["sha256"] = found["sha256"]
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise DamagedFileError(folder / "scene.json", f"with the arrays beside it no scene: {error}") from None
    return scene

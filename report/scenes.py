"""A prepared scene as maps need it: labels, classes, colours and a false-colour picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.errors import UserError
from diffclip.scene.quicklook import class_colours
from diffclip.scene.rendering import false_colour
from diffclip.scene.scene import Imagery, SceneInfo
from report.prepared import prepare_again, read_facts, read_raster, scene_file


@dataclass(frozen=True)
class Ground:
    """What maps show of a scene.

    Attributes:
        picture: (H, W, 3) false colour, uint8.
        labels: (H, W), 0 = unlabelled, 1..K = classes.
        class_names: K names in label order.
        colours: K colours "#rrggbb".
        aux_names: one name per auxiliary channel, or empty.
    """

    picture: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    colours: tuple[str, ...]
    aux_names: tuple[str, ...] = ()


def read_ground(study: Path, scene: str) -> Ground:
    """Read a prepared scene of the study.

    Raises:
        UserError: the scene is not prepared there, or a file of it is damaged.
    """
    found = read_facts(study, scene)
    if found is None:
        raise UserError(f"{scene_file(study, scene)}: not found, expected a prepared scene, which maps need")
    labels = read_raster(study, scene, "labels")
    # A cube may be larger than memory allows; only three of its bands are read.
    cube = read_raster(study, scene, "hsi", mapped=True)
    info: dict[str, Any] = dict(found["info"])
    info |= {key: tuple(value) for key, value in info.items() if isinstance(value, list)}
    try:
        known = SceneInfo(**info)
    except TypeError as error:
        path = scene_file(study, scene)
        raise UserError(f"{path}: info: {error}; {prepare_again(path)}") from None
    picture = false_colour(Imagery(scene, cube, np.empty((*labels.shape, 0), np.float32), known))
    names = tuple(found["class_names"])
    return Ground(picture, labels, names, tuple(class_colours(len(names), known)), known.aux_names)

"""A prepared scene as maps need it: labels, classes, colours and a false-colour picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.errors import UserError
from diffclip.scene.quicklook import class_colours
from diffclip.scene.rendering import false_colour
from diffclip.scene.scene import Imagery, SceneInfo
from diffclip.study import layout


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
        UserError: the scene is not prepared there.
    """
    path = study / layout.SCENE.format(scene=scene)
    try:
        found = json.loads(path.read_text())
        labels = np.load(path.with_name("labels.npy"))
        # A cube may be larger than memory allows; only three of its bands are read.
        cube = np.load(path.with_name("hsi.npy"), mmap_mode="r")
    except OSError as error:
        raise UserError(f"{path.parent}: no prepared scene, which maps need: {error}") from None
    info: dict[str, Any] = dict(found["info"])
    info |= {key: tuple(value) for key, value in info.items() if isinstance(value, list)}
    known = SceneInfo(**info)
    picture = false_colour(Imagery(scene, cube, np.empty((*labels.shape, 0), np.float32), known))
    names = tuple(found["class_names"])
    return Ground(picture, labels, names, tuple(class_colours(len(names), known)), known.aux_names)

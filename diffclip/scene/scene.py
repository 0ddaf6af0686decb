"""A scene: co-registered hyperspectral cube, auxiliary rasters and labels.

`Imagery` is what the sensors saw, `Scene` adds the labels. Methods are handed an `Imagery` only, so that no test
label can be reached from them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int64

from diffclip.errors import UserError
from diffclip.scene.mapped import row_blocks, worked_through

Scaling = Literal["standard", "minmax", "minmax-joint", "none"]
PixelIndex: TypeAlias = Int64[np.ndarray, " _n"]  # flat positions: row * W + column


@dataclass(frozen=True)
class SceneInfo:
    """What is known of a scene besides its arrays.

    Attributes:
        title: name for tables and figures.
        simulated: True when no sensor ever saw it; records and tables repeat this.
        wavelengths: band centres in nm, or empty when unknown.
        gsd: ground sampling distance in m, or None when unknown.
        false_colour: bands (from 0) shown as red, green and blue.
        aux_names: one name per auxiliary channel.
        aux_modalities: the modality ("lidar", "sar", ...) of each auxiliary channel, or empty: all are one, "aux".
        descriptions: one text per class for the text tower (appearance, material, height, surroundings), or empty.
        colours: one "#rrggbb" per class for maps, or empty for the default palette.
        citation: how the scene asks to be cited.
        terms: terms of use.
    """

    title: str
    simulated: bool
    wavelengths: tuple[float, ...] = ()
    gsd: float | None = None
    false_colour: tuple[int, int, int] = (0, 0, 0)
    aux_names: tuple[str, ...] = ()
    aux_modalities: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    citation: str = ""
    terms: str = ""


@dataclass(frozen=True, eq=False)
class Imagery:
    """What the sensors saw: a scene without its labels.

    Attributes:
        name: name of the scene's card.
        hsi: (H, W, B) hyperspectral cube.
        aux: (H, W, C) auxiliary rasters (LiDAR, SAR, ...), each in its own unit.
        info: what else is known of the scene.
    """

    name: str
    hsi: Float32[np.ndarray, "H W B"]
    aux: Float32[np.ndarray, "H W C"]
    info: SceneInfo
    _scaled: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.hsi.shape[0], self.hsi.shape[1]

    @property
    def n_pixels(self) -> int:
        """H * W."""
        return self.hsi.shape[0] * self.hsi.shape[1]

    @property
    def aux_channels(self) -> dict[str, list[int]]:
        """Positions of the auxiliary channels of every modality besides "hsi", in the order in which they first occur.

        {"aux": all of them} where the scene does not tell them apart.
        """
        names = self.info.aux_modalities or ("aux",) * self.aux.shape[2]
        return {name: [place for place, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}

    def rasters(self, scaling: Scaling = "standard") -> dict[str, Float32[np.ndarray, "H W _C"]]:
        """Return the scaled channels of every modality by its name, "hsi" first."""
        hsi, aux = self.scaled(scaling)
        return {"hsi": hsi} | {name: aux[..., channels] for name, channels in self.aux_channels.items()}

    def scaled(
        self, scaling: Scaling = "standard"
    ) -> tuple[Float32[np.ndarray, "H W B"], Float32[np.ndarray, "H W C"]]:
        """Return (hsi, aux) scaled with statistics of the whole scene (no labels involved); computed once.

        "standard" gives every channel zero mean and unit deviation, "minmax" brings every channel to 0..1 by itself,
        "minmax-joint" uses one minimum and maximum per modality (as DiffCLIP's released code does), "none" changes
        nothing. Constant channels become 0.
        """
        if scaling not in get_args(Scaling):
            raise UserError(f"scaling: found {scaling!r}, expected one of {', '.join(get_args(Scaling))}")
        if scaling not in self._scaled:
            aux = np.empty_like(self.aux)
            for channels in self.aux_channels.values():
                aux[..., channels] = _scale(self.aux[..., channels], scaling)
            self._scaled[scaling] = _scale(self.hsi, scaling), aux
        return self._scaled[scaling]

    def spectra(
        self, pixels: PixelIndex, *, aux: bool = True, scaling: Scaling = "standard"
    ) -> Float32[np.ndarray, "n D"]:
        """Return the scaled channels of single pixels: (n, B + C), or (n, B) without `aux`."""
        hsi, rasters = self.scaled(scaling)
        columns = [hsi.reshape(self.n_pixels, -1)[pixels]]
        if aux:
            columns.append(rasters.reshape(self.n_pixels, -1)[pixels])
        return np.concatenate(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Scene:
    """One co-registered acquisition with its labels, checked on construction.

    Attributes:
        name: name of the scene's card.
        hsi: (H, W, B) float32 hyperspectral cube.
        aux: (H, W, C) float32 auxiliary rasters.
        labels: (H, W) int16, 0 = unlabelled, 1..K = classes.
        class_names: K names in label order.
        info: what else is known of the scene.
        train_mask, test_mask: (H, W) the official split where the scene has one.

    Raises:
        UserError: shapes differ, a value is not finite, a label lies outside 0..K, a class has no pixel, ...
    """

    name: str
    hsi: Float32[np.ndarray, "H W B"]
    aux: Float32[np.ndarray, "H W C"]
    labels: Int16[np.ndarray, "H W"]
    class_names: tuple[str, ...]
    info: SceneInfo
    train_mask: Bool[np.ndarray, "H W"] | None = None
    test_mask: Bool[np.ndarray, "H W"] | None = None

    def __post_init__(self) -> None:
        for key, dtype in (("hsi", np.float32), ("aux", np.float32), ("labels", np.int16)):
            object.__setattr__(self, key, np.ascontiguousarray(getattr(self, key), dtype=dtype))
        problems = [*_shape_problems(self), *_value_problems(self)]
        if problems:
            raise UserError("\n".join(f"scene {self.name}: {problem}" for problem in problems))

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.labels.shape[0], self.labels.shape[1]

    @cached_property
    def imagery(self) -> Imagery:
        """The scene without its labels: what a method may see."""
        return Imagery(self.name, self.hsi, self.aux, self.info)

    @cached_property
    def sha256(self) -> str:
        """Checksum of everything that decides a result: arrays, masks, class names and descriptions."""
        digest = hashlib.sha256()
        for array in (self.hsi, self.aux, self.labels, self.train_mask, self.test_mask):
            if array is None:
                digest.update(b"none")
                continue
            digest.update(f"{array.shape}{array.dtype.str}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(repr((self.class_names, self.info.descriptions, self.info.wavelengths)).encode())
        if self.info.aux_modalities:
            digest.update(repr(self.info.aux_modalities).encode())
        return digest.hexdigest()


def _scale(array: np.ndarray, scaling: Scaling) -> np.ndarray:
    if scaling == "none":
        return array
    offset, span = _offset_and_span(array, scaling)
    # A constant channel carries nothing: its float32 deviation is rounding noise, not a span.
    flat = span <= 1e-6 * np.abs(offset) + 1e-12
    return worked_through(array, lambda rows: np.where(flat, 0.0, (rows - offset) / np.where(flat, 1.0, span)))


def _offset_and_span(array: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Return what is subtracted from the channels and what they are divided by, in double precision."""
    axes = None if scaling == "minmax-joint" else (0, 1)
    parts = [array[rows] for rows in row_blocks(array)]
    if scaling != "standard":
        offset = np.min([part.min(axis=axes, keepdims=True) for part in parts], axis=0).astype(np.float64)
        return offset, np.max([part.max(axis=axes, keepdims=True) for part in parts], axis=0) - offset
    if len(parts) == 1:
        return (
            array.mean(axis=axes, dtype=np.float64, keepdims=True),
            array.std(axis=axes, dtype=np.float64, keepdims=True),
        )
    count = array.shape[0] * array.shape[1]
    mean = sum(part.sum(axis=axes, dtype=np.float64, keepdims=True) for part in parts) / count
    squares = sum(((part - mean) ** 2).sum(axis=axes, keepdims=True) for part in parts)
    return mean, np.sqrt(squares / count)


def _shape_problems(scene: Scene) -> list[str]:
    problems = [
        f"{key}: found shape {array.shape}, expected {expected}"
        for key, array, expected, ndim in (
            ("hsi", scene.hsi, "(H, W, B)", 3),
            ("aux", scene.aux, "(H, W, C)", 3),
            ("labels", scene.labels, "(H, W)", 2),
        )
        if array.ndim != ndim
    ]
    shapes = {"hsi": scene.hsi.shape[:2], "aux": scene.aux.shape[:2], "labels": scene.labels.shape}
    for key in ("train_mask", "test_mask"):
        mask = getattr(scene, key)
        if mask is not None:
            shapes[key] = mask.shape
    if not problems and len(set(shapes.values())) > 1:
        found = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        problems.append(f"height and width differ: found {found}; expected the same H and W everywhere")
    return problems


def _value_problems(scene: Scene) -> list[str]:
    problems = []
    for key, array in (("hsi", scene.hsi), ("aux", scene.aux)):
        bad = sum(int(np.count_nonzero(~np.isfinite(array[rows]))) for rows in row_blocks(array))
        if bad:
            problems.append(f"{key}: found {bad} values that are NaN or infinite, expected finite values")
    low, high = (int(scene.labels.min()), int(scene.labels.max())) if scene.labels.size else (0, 0)
    if low < 0 or high > scene.n_classes:
        problems.append(f"labels: found {low}..{high}, expected 0..{scene.n_classes} ({scene.n_classes} class names)")
    else:
        counts = np.bincount(scene.labels.ravel(), minlength=scene.n_classes + 1)
        problems += [
            f"labels: class {k} ({name}) has no pixel, expected at least one"
            for k, name in enumerate(scene.class_names, start=1)
            if counts[k] == 0
        ]
    for key in ("descriptions", "colours"):
        found = len(getattr(scene.info, key))
        if found not in (0, scene.n_classes):
            problems.append(f"{key}: found {found}, expected one per class ({scene.n_classes}) or none")
    modalities = scene.info.aux_modalities
    if scene.aux.ndim == 3 and (len(modalities) not in (0, scene.aux.shape[2]) or "hsi" in modalities):
        expected = f'expected one per auxiliary channel ({scene.aux.shape[2]}), none of them "hsi", or none at all'
        problems.append(f"aux_modalities: found {', '.join(modalities)}, {expected}")
    if scene.hsi.ndim == 3 and max(scene.info.false_colour) >= scene.hsi.shape[2]:
        problems.append(f"false_colour: found {scene.info.false_colour}, expected bands 0..{scene.hsi.shape[2] - 1}")
    return problems

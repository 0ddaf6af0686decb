"""From a card to a scene: files found, read, laid out, scaled, cropped, and label ids mapped to 1..K."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from diffclip.errors import UserError
from diffclip.scene.arrays import read_array
from diffclip.scene.card import ArraySource, MeasuredCard, RasterSource, SceneCard, SimulatedCard, load_card
from diffclip.scene.download import locate
from diffclip.scene.scene import Scene, SceneInfo
from diffclip.scene.simulation import simulate
from diffclip.scene.simulation.classes import LAND_COVER

RED_GREEN_BLUE = (640.0, 550.0, 460.0)  # nm


def load_scene(card_or_name: SceneCard | str | Path, *, folder: Path | None = None) -> Scene:
    """Return the scene of a card: hsi (H, W, B) and aux (H, W, C) float32, labels (H, W) int16 in 0..K.

    Args:
        card_or_name: a card, the name of one, or the path of its .yaml file.
        folder: where cards are looked for by name; default as in `load_card`.

    Raises:
        UserError: no such card or file, or its contents are not what the card says (file, key, found, expected).
    """
    card = card_or_name if isinstance(card_or_name, SceneCard) else load_card(card_or_name, folder)
    if isinstance(card, SimulatedCard):
        return _simulated(card)
    assert isinstance(card, MeasuredCard)
    return _measured(card, locate(card))


def names_and_descriptions(card_or_name: SceneCard | str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and descriptions of a card's classes, the latter perhaps empty; no data file is read."""
    card = card_or_name if isinstance(card_or_name, SceneCard) else load_card(card_or_name)
    if isinstance(card, MeasuredCard):
        descriptions = tuple(entry.description for entry in card.classes)
        return tuple(entry.name for entry in card.classes), descriptions if all(descriptions) else ()
    return tuple(cover.name for cover in LAND_COVER), tuple(cover.description for cover in LAND_COVER)


def _simulated(card: SimulatedCard) -> Scene:
    scene = simulate(card.simulate, card.name)
    said = {key: value for key in ("title", "citation", "terms") if (value := getattr(card, key))}
    return dataclasses.replace(scene, info=dataclasses.replace(scene.info, **said))


def _measured(card: MeasuredCard, files: dict[str, Path]) -> Scene:
    cube = _laid_out(card.hsi, files, "HWB")
    size = cube.shape[:2]
    crop = _crop(card, size)
    hsi = _values(card.hsi, files, cube[crop])
    aux = [_values(source, files, _same_size(source, files, "HWB", size)[crop]) for source in card.aux]
    labels, train_mask, test_mask = _label_maps(card, files, size, crop)
    return Scene(
        name=card.name,
        hsi=hsi,
        aux=np.concatenate(aux, axis=2),
        labels=labels,
        class_names=tuple(entry.name for entry in card.classes),
        info=_info(card, hsi.shape[2], [raster.shape[2] for raster in aux]),
        train_mask=train_mask,
        test_mask=test_mask,
    )


def _laid_out(source: ArraySource, files: dict[str, Path], wanted: str) -> np.ndarray:
    """Return the array of a source with its axes in the order `wanted` ("HWB" or "HW")."""
    found = read_array(files[source.file], source.key)
    if wanted == "HW" and found.ndim == 3 and found.shape[2] == 1:
        found = found[..., 0]
    axes = source.axes or "HWB"[: found.ndim]
    if found.ndim != len(axes) or not set("HW") <= set(axes) <= set(wanted):
        raise UserError(f"{_where(source, files)}: found shape {found.shape}, expected axes {source.axes or wanted}")
    if len(axes) < len(wanted):
        found, axes = found[..., np.newaxis], axes + "B"
    return found.transpose([axes.index(axis) for axis in wanted])


def _same_size(source: ArraySource, files: dict[str, Path], wanted: str, size: tuple[int, ...]) -> np.ndarray:
    array = _laid_out(source, files, wanted)
    if array.shape[:2] != size:
        hint = "; are `axes` right?" if array.shape[:2] == size[::-1] else ""
        raise UserError(
            f"{_where(source, files)}: found height and width {array.shape[:2]}, expected {size} as in hsi{hint}"
        )
    return array


def _crop(card: MeasuredCard, size: tuple[int, ...]) -> tuple[slice, slice]:
    spans = []
    for key, length in (("rows", size[0]), ("columns", size[1])):
        first, end = getattr(card, key) or (0, length)
        if end > length:
            raise UserError(f"{card.file}: {key}: found [{first}, {end}], expected at most {length} {key}")
        spans.append(slice(first, end))
    return spans[0], spans[1]


def _values(source: RasterSource, files: dict[str, Path], found: np.ndarray) -> np.ndarray:
    """Return a raster's values as a contiguous float32 array, scaled, gaps filled."""
    empty = ~np.isfinite(found)
    if source.nodata is not None:
        empty |= found == source.nodata
    values = np.array(found, dtype=np.float32, order="C")
    values *= np.float32(source.scale)
    values += np.float32(source.offset)
    if source.fill is not None:
        values[empty] = source.fill
    elif empty.any():
        raise UserError(
            f"{_where(source, files)}: found {np.count_nonzero(empty)} values that are NaN, infinite or `nodata`, "
            "expected measured values everywhere, or `fill` with the value to put there"
        )
    return values


def _label_maps(
    card: MeasuredCard, files: dict[str, Path], size: tuple[int, ...], crop: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return (labels, train_mask, test_mask), all (H, W), the masks None without official label maps."""
    maps = {
        key: _class_labels(card, source, files, _same_size(source, files, "HW", size)[crop])
        for key in ("labels", "train_labels", "test_labels")
        if (source := getattr(card, key)) is not None
    }
    if "train_labels" not in maps:
        return maps["labels"], None, None
    train, test = maps["train_labels"], maps["test_labels"]
    if both := np.count_nonzero((train > 0) & (test > 0)):
        raise UserError(f"{card.file}: train_labels and test_labels: found {both} pixels in both, expected none")
    union = train + test
    labels = maps.get("labels", union)
    if differ := np.count_nonzero((union > 0) & (union != labels)):
        raise UserError(
            f"{card.file}: labels: found {differ} pixels whose class differs from train_labels or test_labels, "
            "expected the same class"
        )
    return labels, train > 0, test > 0


def _class_labels(card: MeasuredCard, source: ArraySource, files: dict[str, Path], found: np.ndarray) -> np.ndarray:
    """Map a file's ids to 0 (unlabelled) and 1..K (classes in the card's order)."""
    ids, position, counts = np.unique(found, return_inverse=True, return_counts=True)
    label_of = dict.fromkeys(card.unlabelled, 0) | {entry.id: k for k, entry in enumerate(card.classes, start=1)}
    unknown = [
        f"{number:g} ({count} pixels)" for number, count in zip(ids, counts, strict=True) if number not in label_of
    ]
    if unknown:
        raise UserError(
            f"{_where(source, files)}: found ids {', '.join(unknown)} that {card.file} names neither in `classes` "
            f"nor in `unlabelled`, expected {', '.join(map(str, sorted(label_of)))}"
        )
    labels = np.array([label_of[number] for number in ids], dtype=np.int16)
    return labels[position].reshape(found.shape)


def _info(card: MeasuredCard, bands: int, aux_channels: list[int]) -> SceneInfo:
    centres = card.band_centres
    if centres and len(centres) != bands:
        raise UserError(f"{card.file}: wavelengths: found {len(centres)}, expected one per band ({bands})")
    aux_names: list[str] = []
    modalities: list[str] = []
    for source, channels in zip(card.aux, aux_channels, strict=True):
        if source.names and len(source.names) != channels:
            raise UserError(
                f"{card.file}: aux: names: found {len(source.names)}, {source.file} has {channels} channels"
            )
        aux_names += source.names or [f"aux {len(aux_names) + i + 1}" for i in range(channels)]
        modalities += [source.modality] * channels
    return SceneInfo(
        title=card.title,
        simulated=False,
        wavelengths=centres,
        gsd=card.gsd,
        false_colour=card.false_colour or _false_colour(centres, bands),
        aux_names=tuple(aux_names),
        aux_modalities=() if set(modalities) == {"aux"} else tuple(modalities),
        descriptions=tuple(entry.description for entry in card.classes if entry.description),
        colours=tuple(entry.colour for entry in card.classes if entry.colour),
        citation=card.citation,
        terms=card.terms,
    )


def _false_colour(centres: tuple[float, ...], bands: int) -> tuple[int, int, int]:
    if centres:
        red, green, blue = (int(np.argmin(np.abs(np.array(centres) - target))) for target in RED_GREEN_BLUE)
    else:
        red, green, blue = bands - 1, bands // 2, 0
    return red, green, blue


def _where(source: ArraySource, files: dict[str, Path]) -> str:
    return f"{files[source.file]}: {source.key}" if source.key else str(files[source.file])

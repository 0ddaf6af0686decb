"""Scene cards: one YAML file says everything there is to know about a scene, so that adding one needs no Python.

A card either names files (`MeasuredCard`) or asks the simulator (`SimulatedCard`); docs/scenes.md explains every key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PrivateAttr,
    Tag,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from diffclip.errors import UserError, did_you_mean
from diffclip.scene.simulation.options import SimulationOptions
from diffclip.validation import read_yaml, validated

CARD_FOLDER = Path("config/scenes")
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Range = tuple[Annotated[int, Field(ge=0)], int]
Band = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArraySource(_Part):
    """Where one array lies and how it is laid out."""

    file: str = Field(min_length=1, description="file below the scene's folder: .mat, .npy, .npz, .tif")
    key: str = Field(default="", description="array in a .mat or .npz; structs and cells: hsi.Lidar[0].z (from 0)")
    axes: str = Field(default="", description="order of the file's axes; default HWB, or HW for a 2-D array")

    @field_validator("file")
    @classmethod
    def _stays_below(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("expected a path below the scene's folder, such as HSI.mat")
        return file

    @field_validator("axes")
    @classmethod
    def _permutation(cls, axes: str) -> str:
        if axes and sorted(axes.replace("C", "B")) not in (sorted("HWB"), sorted("HW")):
            raise ValueError("expected the letters H, W and B (or C) in the file's order, such as HWB, BHW, WHB or WH")
        return axes.replace("C", "B")


class RasterSource(ArraySource):
    """The source of a raster of measured values: value = file's value * scale + offset."""

    scale: float = Field(default=1.0, allow_inf_nan=False, description="factor")
    offset: float = Field(default=0.0, allow_inf_nan=False, description="added after the factor")
    nodata: float | None = Field(default=None, description="file's value for 'not measured'; NaN always is")
    fill: float | None = Field(default=None, allow_inf_nan=False, description="value put where nothing was measured")

    @field_validator("scale")
    @classmethod
    def _not_0(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("expected another factor, which leaves something of the raster")
        return scale


class AuxSource(RasterSource):
    """The source of one or several auxiliary channels."""

    names: tuple[str, ...] = Field(default=(), description="one name per channel of this file")
    modality: str = Field(
        default="aux",
        pattern="^[a-z][a-z0-9]*$",
        description="what sensor it comes from (lidar, sar, rgb, ...); sources of one name are one modality",
    )

    @field_validator("modality")
    @classmethod
    def _not_the_cube(cls, modality: str) -> str:
        if modality == "hsi":
            raise ValueError("expected another name than hsi, which is the cube's")
        return modality


class Download(_Part):
    """A file or .zip archive on the net."""

    url: str = Field(pattern="^(https?|ftp)://", description="address; from a .zip the card's files are taken out")
    sha256: Sha256 = Field(description="checksum of what lies at the address")


class ClassEntry(_Part):
    """One class: its id in the label file and what is said of it."""

    id: int = Field(description="id in the label file; gaps are fine")
    name: str = Field(min_length=1, description="name in tables and prompts")
    description: str = Field(default="", description="one sentence for the text tower")
    colour: str = Field(default="", pattern="^(#[0-9a-fA-F]{6})?$", description='"#rrggbb" for maps, in quotes')


class WavelengthRange(_Part):
    """Evenly spaced band centres, nm."""

    start: PositiveFloat = Field(description="centre of the first band, nm")
    stop: PositiveFloat = Field(description="centre of the last band, nm")
    bands: int = Field(ge=1, description="number of bands")


Wavelengths = Annotated[
    Annotated[tuple[PositiveFloat, ...], Tag("list")] | Annotated[WavelengthRange, Tag("range")],
    # A tag instead of trying both: errors then speak of the form that was meant.
    Discriminator(lambda found: "range" if isinstance(found, dict | WavelengthRange) else "list"),
]


class SceneCard(_Part):
    """What every card says; `load_card` returns one of its two kinds."""

    title: str = Field(min_length=1, description="name for tables and figures")
    citation: str = Field(default="", description="how the scene asks to be cited")
    terms: str = Field(default="", description="terms of use")
    _file: Path = PrivateAttr(default=Path("unnamed.yaml"))

    @property
    def file(self) -> Path:
        """The card's own file."""
        return self._file

    @property
    def name(self) -> str:
        """The scene's name: the card's file name without its suffix."""
        return self._file.stem

    @property
    def has_official_masks(self) -> bool:
        """Whether official training and test pixels are named, as the protocol `standard` needs."""
        return False


class SimulatedCard(SceneCard):
    """A scene that no sensor ever saw; classes, texts and colours come from the simulator."""

    simulate: SimulationOptions = Field(description="options of the simulator; {} for its defaults")


class MeasuredCard(SceneCard):
    """A scene read from files."""

    folder: str = Field(default="", description="folder of the files; may hold $VARIABLES; relative to the card")
    download: tuple[Download, ...] = Field(default=(), description="where the files come from if they are not there")
    sha256: dict[str, Sha256] = Field(default={}, description="checksum per file, checked wherever it came from")
    hsi: RasterSource = Field(description="the hyperspectral cube")
    aux: tuple[AuxSource, ...] = Field(description="one or several sources of auxiliary rasters, stacked in order")
    labels: ArraySource | None = Field(default=None, description="label map")
    train_labels: ArraySource | None = Field(default=None, description="label map of the official training pixels")
    test_labels: ArraySource | None = Field(default=None, description="label map of the official test pixels")
    classes: tuple[ClassEntry, ...] = Field(description="two or more classes, in the order of tables")
    unlabelled: tuple[int, ...] = Field(default=(0,), description="ids that mean 'no label'")
    rows: Range | None = Field(default=None, description="crop: rows from the first up to, not including, the second")
    columns: Range | None = Field(default=None, description="crop: columns, likewise")
    wavelengths: Wavelengths = Field(default=(), description="band centres in nm: a list, or start, stop and bands")
    gsd: PositiveFloat | None = Field(default=None, description="ground sampling distance, m")
    false_colour: tuple[Band, Band, Band] | None = Field(
        default=None, description="bands (from 0) shown as red, green, blue; default: nearest to 640, 550, 460 nm"
    )

    @property
    def has_official_masks(self) -> bool:
        """Whether official training and test pixels are named, as the protocol `standard` needs."""
        return self.train_labels is not None

    @property
    def files(self) -> tuple[str, ...]:
        """Every file the card names, once, in the card's order."""
        sources = (self.hsi, *self.aux, self.labels, self.train_labels, self.test_labels)
        return tuple(dict.fromkeys(source.file for source in sources if source is not None))

    @property
    def band_centres(self) -> tuple[float, ...]:
        """Band centres in nm, or empty when unknown."""
        if isinstance(self.wavelengths, WavelengthRange):
            span = self.wavelengths
            return tuple(round(float(centre), 2) for centre in np.linspace(span.start, span.stop, span.bands))
        return self.wavelengths

    @field_validator("aux", mode="before", json_schema_input_type=AuxSource | tuple[AuxSource, ...])
    @classmethod
    def _one_or_several(cls, found: Any) -> Any:
        return [found] if isinstance(found, dict) else found

    # Not min_length: pydantic would count only the valid entries and so blame the number for a misspelt one.
    @field_validator("aux", "classes")
    @classmethod
    def _enough(cls, entries: tuple[_Part, ...], checked: ValidationInfo) -> tuple[_Part, ...]:
        least = {"aux": 1, "classes": 2}[str(checked.field_name)]
        if len(entries) < least:
            raise ValueError(f"found {len(entries)} entries, expected {least} or more")
        return entries

    @field_validator("classes")
    @classmethod
    def _distinct_and_complete(cls, classes: tuple[ClassEntry, ...]) -> tuple[ClassEntry, ...]:
        for what, values in (("id", [c.id for c in classes]), ("name", [c.name for c in classes])):
            if twice := _twice(values):
                raise ValueError(f"{what} {', '.join(map(repr, twice))} given more than once")
        for what in ("description", "colour"):
            without = [entry.name for entry in classes if not getattr(entry, what)]
            if 0 < len(without) < len(classes):
                raise ValueError(f"no {what} for {', '.join(without)}; expected one for every class or for none")
        return classes

    @field_validator("rows", "columns")
    @classmethod
    def _grows(cls, span: Range | None) -> Range | None:
        if span is not None and span[0] >= span[1]:
            raise ValueError("expected [first, end] with first < end")
        return span

    @field_validator("labels", "train_labels", "test_labels")
    @classmethod
    def _flat(cls, source: ArraySource | None) -> ArraySource | None:
        if source is not None and "B" in source.axes:
            raise ValueError("axes of a label map: expected HW or WH")
        return source

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = []
        if (self.train_labels is None) != (self.test_labels is None):
            wrong.append("train_labels and test_labels belong together: found only one of them")
        elif self.labels is None and self.train_labels is None:
            wrong.append("no labels: expected `labels`, or `train_labels` and `test_labels`")
        if both := sorted({entry.id for entry in self.classes} & set(self.unlabelled)):
            wrong.append(f"ids {both} are both in `classes` and in `unlabelled`")
        wrong += [
            f"sha256: {file!r} is not a file of this card{did_you_mean(file, self.files)}; "
            f"expected one of {', '.join(self.files)}"
            for file in self.sha256
            if file not in self.files
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def card_names(folder: Path | None = None) -> list[str]:
    """Return the names of all cards in `folder`, or where `load_card` looks by default, sorted."""
    return sorted({path.stem for place in _places(folder) for path in place.glob("*.yaml")})


def load_card(name_or_path: str | Path, folder: Path | None = None) -> SceneCard:
    """Read and check a card.

    Args:
        name_or_path: a card's name ("houston2013"), or the path of a .yaml file.
        folder: where cards lie; default: ./config/scenes, then the one beside the installed package.

    Raises:
        UserError: no such card, or everything that is wrong with it, one line each.
    """
    path = card_path(name_or_path, folder)
    found = read_yaml(path)
    # Chosen by key, not by trying both: a missing or misspelt key is then reported against the right kind.
    card = validated(SimulatedCard if "simulate" in found else MeasuredCard, found, str(path))
    card._file = path
    return card


def card_schema() -> dict[str, Any]:
    """Return the JSON schema of a card."""
    return TypeAdapter(MeasuredCard | SimulatedCard).json_schema()


def card_path(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """Return the file of a card, by name or by path; see `load_card`."""
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return Path(name_or_path)
    name = str(name_or_path)
    for place in _places(folder):
        if (path := place / f"{name}.yaml").is_file():
            return path
    known = card_names(folder)
    raise UserError(
        f"scene {name!r}: no such card{did_you_mean(name, known)}; "
        f"found in {' and '.join(map(str, _places(folder)))}: {', '.join(known) or 'none'}"
    )


def _places(folder: Path | None) -> list[Path]:
    if folder is not None:
        return [Path(folder)]
    beside_package = Path(__file__).resolve().parents[2] / CARD_FOLDER
    return [CARD_FOLDER] if beside_package == CARD_FOLDER.resolve() else [CARD_FOLDER, beside_package]

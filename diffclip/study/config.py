"""The study config: the grid of runs to make, typed, with every mistake told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from diffclip.errors import UserError, did_you_mean
from diffclip.protocol.catalogue import make_method, method_names
from diffclip.protocol.method import Method, Pretraining
from diffclip.scene.card import card_names, load_card
from diffclip.study.cells import VARIANT_NAME, Cell, ProtocolName, fits_in_a_name
from diffclip.validation import NUMBER, problems, read_yaml

# Names become parts of file names, in which "_" and "/" separate.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")]
VariantName = Annotated[str, Field(pattern=f"^{VARIANT_NAME}$")]
Variants = dict[VariantName, dict[str, Any]]


def _seeds(found: Any) -> Any:
    if isinstance(found, int) and not isinstance(found, bool) and found > 0:
        return list(range(found))
    if not isinstance(found, list | tuple):
        raise ValueError("expected a number of seeds, 1 or more, or a list of them")
    return found


def _unique(found: list[Any]) -> list[Any]:
    twice = dict.fromkeys(value for value in found if found.count(value) > 1)
    if twice:
        raise ValueError(f"{', '.join(map(str, twice))} is named twice; expected every value once")
    return found


def _odd(window: int) -> int:
    if window % 2 == 0:
        raise ValueError("expected an odd number, so that a window has a centre pixel")
    return window


def _short(ratio: float) -> float:
    if not fits_in_a_name(ratio):
        raise ValueError(f"expected at most six digits, such as {ratio:g}: folders are named by it")
    return ratio


def _variants(found: Any) -> Any:
    """Read `svm:` as `svm: {default: {}}` and `svm: {means: }` as `svm: {means: {}}`."""
    if not isinstance(found, dict):
        return found
    filled = {}
    for method, variants in found.items():
        variants = {"default": {}} if variants in (None, {}) else variants
        if isinstance(variants, dict):
            variants = {name: {} if options is None else options for name, options in variants.items()}
        filled[method] = variants
    return filled


Unique = AfterValidator(_unique)
Shots = Annotated[int, Field(ge=1), NUMBER]
Window = Annotated[int, Field(ge=1), AfterValidator(_odd), NUMBER]
MaskRatio = Annotated[float, Field(ge=0.0, lt=1.0), AfterValidator(_short), NUMBER]
Seed = Annotated[int, Field(ge=0), NUMBER]
Methods = Annotated[
    dict[str, Variants],
    Field(min_length=1),
    BeforeValidator(_variants, json_schema_input_type=dict[str, dict[VariantName, dict[str, Any] | None] | None]),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sweep(_Strict):
    """A grid over windows and mask ratios for some methods (the paper's figure 4)."""

    methods: Methods = Field(description="methods and their variants, as in the study")
    protocols: Annotated[list[ProtocolName], Field(min_length=1), Unique] = Field(
        description="how training and test pixels are drawn"
    )
    shots: Annotated[list[Shots], Field(min_length=1), Unique] = Field(description="labelled training pixels per class")
    windows: Annotated[list[Window], Field(min_length=1), Unique] | None = Field(
        default=None, description="sides of the window in pixels; default: the study's"
    )
    mask_ratios: Annotated[list[MaskRatio], Field(min_length=1), Unique] | None = Field(
        default=None, description="shares of hidden tokens; default: the study's"
    )


class Inspection(_Strict):
    """Which runs show what they learned: reconstructions and losses of stage 1, features before and after each stage.

    Every scene of the study is shown, at the study's window and mask ratio.
    """

    methods: Annotated[dict[str, Annotated[list[VariantName], Field(min_length=1), Unique]], Field(min_length=1)] = (
        Field(description="methods, each with a list of variants of the study or of a sweep that pretrain")
    )
    protocol: ProtocolName = Field(description="how training and test pixels are drawn; one of the study's")
    shots: Shots = Field(description="labelled training pixels per class; one of the study's")
    seed: Seed = Field(description="which run; one of the study's")


class Study(_Strict):
    """A study: scenes x protocols x methods x shots x seeds, and sweeps over windows and mask ratios."""

    study: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name; results lie in results/<study>/")
    title: str = Field(default="", description="one line for reports; default: the name")
    scenes: Annotated[list[Name], Field(min_length=1), Unique] = Field(description="names of cards in config/scenes/")
    protocols: Annotated[list[ProtocolName], Field(min_length=1), Unique] = Field(
        description="how training and test pixels are drawn"
    )
    shots: Annotated[list[Shots], Field(min_length=1), Unique] = Field(description="labelled training pixels per class")
    seeds: Annotated[
        list[Seed],
        Field(min_length=1),
        Unique,
        BeforeValidator(_seeds, json_schema_input_type=PositiveInt | list[Seed]),
    ] = Field(description="a list of seeds; a number n stands for 0, 1, ..., n - 1")
    window: Window = Field(default=11, description="side of the window in pixels, odd; for methods that have one")
    mask_ratio: MaskRatio = Field(
        default=0.7, description="share of hidden tokens in stage 1, from 0 to below 1, of at most six digits"
    )
    margin: Annotated[int, Field(ge=1), NUMBER] | None = Field(
        default=None,
        description="strict only: least distance in pixels between training and test pixels; "
        "default: the least at which no two windows of any method of the study overlap",
    )
    on_small_class: Literal["error", "skip"] = Field(
        default="error", description="a class with too few pixels for the shots stops the study, or is left out"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where networks are trained; auto takes the GPU when there is one"
    )
    seeds_at_once: Annotated[PositiveInt, NUMBER] | None = Field(
        default=None,
        description="seeds of a cell that are trained as one model, by methods that can; "
        "default: what suits the device, 1 on a CPU",
    )
    methods: Methods = Field(description="methods (files in baselines/, or diffclip), each with variants and options")
    sweeps: dict[Name, Sweep] = Field(default_factory=dict, description="grids over windows and mask ratios, by name")

    inspect: Inspection | None = Field(
        default=None, description="runs whose reconstructions, losses and features are drawn; default: none"
    )

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield (method, variant) in the order of the config: the rows of its tables."""
        for method, variants in self.methods.items():
            for variant in variants:
                yield method, variant

    def options(self, method: str, variant: str) -> dict[str, Any]:
        """Return the options that the study gives to a variant, wherever it is named."""
        for block in (self.methods, *(sweep.methods for sweep in self.sweeps.values())):
            if variant in block.get(method, {}):
                return block[method][variant]
        raise KeyError((method, variant))

    def made(self, cell: Cell) -> Method:
        """Return the method of a cell, with its options."""
        return make_method(cell.method, cell.variant, self.options(cell.method, cell.variant))

    def cells(self) -> list[Cell]:
        """Return every cell of the study once: the main grid, then the sweeps."""
        main = self._grid(self.methods, self.protocols, self.shots, [self.window], [self.mask_ratio])
        cells = dict.fromkeys(main)
        for sweep in self.sweeps.values():
            windows, ratios = sweep.windows or [self.window], sweep.mask_ratios or [self.mask_ratio]
            cells |= dict.fromkeys(self._grid(sweep.methods, sweep.protocols, sweep.shots, windows, ratios))
        return list(cells)

    def inspected(self) -> list[Cell]:
        """Return the cells whose runs of the seed `inspect.seed` show what they learned."""
        asked = self.inspect
        if asked is None:
            return []
        methods = {
            method: {variant: self.options(method, variant) for variant in variants}
            for method, variants in asked.methods.items()
        }
        return list(self._grid(methods, [asked.protocol], [asked.shots], [self.window], [self.mask_ratio]))

    def _grid(
        self,
        methods: Mapping[str, Variants],
        protocols: list[ProtocolName],
        shots: list[int],
        windows: list[int],
        ratios: list[float],
    ) -> Iterator[Cell]:
        for method, variants in methods.items():
            for variant, options in variants.items():
                axes = make_method(method, variant, options).axes
                points = {
                    (window if "window" in axes else None, ratio if "mask_ratio" in axes else None): None
                    for window in windows
                    for ratio in ratios
                }
                for scene in self.scenes:
                    for protocol in protocols:
                        for shot in shots:
                            for window, ratio in points:
                                yield Cell(scene, protocol, method, variant, shot, window, ratio)

    def pretraining(self, cell: Cell) -> Pretraining | None:
        """Return the checkpoint that a cell needs, or None."""
        return self.made(cell).pretraining(cell.window, cell.mask_ratio)

    def strict_margin(self) -> int:
        """Return the distance that `strict` keeps: the study's `margin`, or the least at which no windows overlap."""
        return self.margin if self.margin is not None else 2 * self._longest_reach()[0] + 1

    def _longest_reach(self) -> tuple[int, str]:
        """Return how far a method looks through windows at most under the strict protocol, and which."""
        longest = (0, "")
        for cell in (cell for cell in self.cells() if cell.protocol == "strict"):
            reach = self.made(cell).window_reach(cell.window)
            longest = max(longest, (reach, f"{cell.method}.{cell.variant}"))
        return longest


def load_study(path: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read and check a study config.

    Args:
        path: a YAML file.
        overrides: keys that replace those of the file, as given on a command line.

    Raises:
        UserError: one line per mistake, each with file, key, what was found and what is allowed.
    """
    return parse_study({**read_yaml(path), **(overrides or {})}, str(path))


def parse_study(found: Mapping[str, Any], source: str) -> Study:
    """Check a study config that is already read; `source` names it in messages."""
    wrong: list[str] = []
    study = None
    try:
        study = Study.model_validate(dict(found))
    except ValidationError as error:
        wrong += problems(Study, error, source)
    wrong += _unknown_scenes(found.get("scenes"), source)
    wrong += _wrong_methods(found.get("methods"), f"{source}: methods")
    sweeps = found.get("sweeps")
    for name, sweep in sweeps.items() if isinstance(sweeps, dict) else ():
        if isinstance(sweep, dict):
            wrong += _wrong_methods(sweep.get("methods"), f"{source}: sweeps.{name}.methods")
    if study is not None and not wrong:
        wrong += _two_meanings(study, source) + _too_far(study, source) + _not_together(study, source)
        wrong += _without_masks(study, source) + _not_to_inspect(study, source)
    if wrong or study is None:
        raise UserError("\n".join(wrong))
    return study


def _unknown_scenes(scenes: Any, source: str) -> list[str]:
    return [
        f"{source}: scenes.{position}: {_unknown_scene(name)}"
        for position, name in enumerate(scenes if isinstance(scenes, list) else [])
        if name not in card_names()
    ]


def _unknown_scene(name: Any) -> str:
    known = card_names()
    hint = did_you_mean(str(name), known)
    return f"unknown scene {name!r}{hint}; expected a card in config/scenes: {', '.join(known)}"


def _wrong_methods(methods: Any, source: str) -> list[str]:
    wrong = []
    filled = _variants(methods)
    for method, variants in filled.items() if isinstance(filled, dict) else ():
        if method not in method_names():
            hint = did_you_mean(str(method), method_names())
            wrong.append(f"{source}.{method}: unknown method{hint}; allowed: {', '.join(method_names())}")
            continue
        for variant, options in variants.items() if isinstance(variants, dict) else ():
            if isinstance(options, dict):
                try:
                    make_method(method, variant, options)
                except UserError as error:
                    prefix = f"method {method}, variant {variant}: "
                    lines = str(error).splitlines()
                    wrong += [f"{source}.{method}.{variant}: {line.removeprefix(prefix)}" for line in lines]
    return wrong


def _two_meanings(study: Study, source: str) -> list[str]:
    """Refuse variants of two meanings: records are found by a variant's name."""
    return [
        f"{source}: sweeps.{name}.methods.{method}.{variant}: found options that differ from the study's "
        f"{method}.{variant}; expected the same, or another name"
        for name, sweep in study.sweeps.items()
        for method, variants in sweep.methods.items()
        for variant, options in variants.items()
        if options != study.options(method, variant)
    ]


def _too_far(study: Study, source: str) -> list[str]:
    reach, row = study._longest_reach()
    if study.margin is None or 2 * reach < study.margin:
        return []
    return [
        f"{source}: margin: found {study.margin}, expected at least {2 * reach + 1}: {row} looks {reach} pixels far, "
        "so that its training and test windows would overlap under the strict protocol"
    ]


def _not_together(study: Study, source: str) -> list[str]:
    """Refuse methods whose options do not go with a window, a protocol or the scenes that there are."""
    wrong: dict[str, None] = {}
    for cell in study.cells():
        made = study.made(cell)
        row = f"{source}: {cell.method}.{cell.variant}"
        try:
            made.check(cell.window)
        except UserError as error:
            wrong[f"{row}: {error}"] = None
        if made.uses_validation and cell.protocol != "paper":
            wrong[f"{row}: found protocol {cell.protocol}, expected paper alone: it looks at validation labels"] = None
        pretraining = made.pretraining(cell.window, cell.mask_ratio)
        if pretraining and pretraining.scene and pretraining.scene not in card_names():
            wrong[f"{row}: stage 1: {_unknown_scene(pretraining.scene)}"] = None
    return list(wrong)


def _without_masks(study: Study, source: str) -> list[str]:
    """Refuse the protocol `standard` for scenes whose cards name no official pixels."""
    scenes = dict.fromkeys(cell.scene for cell in study.cells() if cell.protocol == "standard")
    cards = [card for card in map(load_card, scenes) if not card.has_official_masks]
    return [
        f"{source}: protocols: found standard, and no train_labels and test_labels in {card.file}; "
        "expected scenes with official masks, or another protocol"
        for card in cards
    ]


def _not_to_inspect(study: Study, source: str) -> list[str]:
    """Refuse to inspect what the study does not run, and rows that have nothing to show."""
    asked = study.inspect
    if asked is None:
        return []
    allowed: dict[str, list[Any]] = {"protocol": study.protocols, "shots": study.shots, "seed": study.seeds}
    wrong = [
        f"{source}: inspect.{key}: found {value!r}, expected one of the study's: {', '.join(map(str, known))}"
        for key, known in allowed.items()
        if (value := getattr(asked, key)) not in known
    ]
    pretraining = {(cell.method, cell.variant): study.pretraining(cell) for cell in study.cells()}
    shown = [f"{method}.{variant}" for (method, variant), made in pretraining.items() if made and made.inspection]
    expected = f"expected some of: {', '.join(shown)}" if shown else "and the study has no row that could be shown"
    for method, variants in asked.methods.items():
        for variant in variants:
            row = f"{method}.{variant}"
            if row not in shown:
                hint = did_you_mean(row, shown)
                why = "has no pretraining to inspect" if (method, variant) in pretraining else "is no row of the study"
                wrong.append(f"{source}: inspect.methods.{method}: {variant} {why}{hint}; {expected}")
    return wrong

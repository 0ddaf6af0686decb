"""DiffCLIP's options: everything that a study can turn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from diffclip.language.prompts import Prompts
from diffclip.scene.scene import Scaling
from diffclip.training.quirks import STAGE_1, Quirk, settled

# Options that decide the weights of stage 1; the others may change without making them again.
_STAGE_1 = (
    "scaling", "profiles", "token_size", "stem", "width", "depth", "heads", "mlp_ratio", "decoder_width",
    "decoder_depth", "decoder_heads", "shared_encoder", "crops", "diffusion", "diffusion_steps", "time_limit",
    "hidden_weight", "visible_weight", "pretrain_batch", "pretrain_lr", "pretrain_schedule", "pretrain_weight_decay",
    "precision",
)  # fmt: skip

# Numbers that only have to be large enough; `_ranges` knows those with a range of their own.
_FROM_0 = (
    "decoder_depth", "pretrain_steps", "pretrain_epochs", "epochs", "stride", "hidden_weight", "visible_weight",
    "pretrain_weight_decay", "weight_decay",
)  # fmt: skip
_FROM_1 = (
    "token_size", "stem", "width", "depth", "heads", "decoder_width", "decoder_heads", "diffusion_steps",
    "pretrain_batch", "batch", "embedding", "text_width", "text_depth", "text_heads", "graph_neighbours",
)  # fmt: skip
_ABOVE_0 = ("mlp_ratio", "pretrain_lr", "lr", "temperature")

Otherwise = TypeVar("Otherwise", float, None)


@dataclass(frozen=True)
class Options:
    """Defaults are the released configuration; its known deviations from the paper are not repeated.

    Attributes:
        modalities: which the network sees, in this order: "hsi", and those that the scene's card names ("lidar",
            "sar", ...); "aux" stands for all of these.
        scaling: of the scene's channels.
        profiles: each modality gets its extended morphological profiles as further channels, in both stages.
        token_size: side of a token in pixels; must divide the window.
        stem, width, depth, heads, mlp_ratio: sizes of the encoder.
        shared_encoder: False gives each modality blocks and a final norm of its own.
        decoder_width, decoder_depth, decoder_heads: sizes of each decoder.
        pretrain: stage 1 on all windows of the "scene" (no labels involved), on the windows of the task's
            training pixels alone ("labelled"), or "none".
        pretrain_scene: card's name of another scene for stage 1; "" is the tested one.
        masking: False hides nothing (plain denoising; without diffusion too, a plain autoencoder).
        mask_ratios: shares of hidden tokens by modality, "aux" for all auxiliary ones that are not named; those
            without an entry have the study's mask ratio.
        crops: stage 1 cuts one pixel off the border of every second window and stretches the rest.
        diffusion: False hides tokens without adding noise (a plain masked autoencoder).
        diffusion_steps: of the noise schedule.
        time_limit: stage 1 draws time steps below this one; None is all of the schedule.
        hidden_weight, visible_weight: of the errors on hidden and visible tokens.
        pretrain_steps, pretrain_batch, pretrain_lr, pretrain_weight_decay: optimisation of stage 1.
        pretrain_schedule: its learning rate falls along a cosine, once ("cosine") or with the released code's
            "restarts".
        pretrain_epochs: length of stage 1 on labelled pixels, in the place of `pretrain_steps`.
        epochs, batch, lr, weight_decay: optimisation of stage 2.
        steps: length of stage 2 in batches, in the place of `epochs`.
        balanced: batches hold as many windows of each class, drawn anew; else an epoch shows every window once.
        optimiser: of stage 2; "adamw" keeps the decay of weights apart from the gradients.
        lr_schedule: stage 2's learning rate "drops" tenfold after 2/3 and 7/8 of its length, or follows a "cosine".
        layer_decay: factor of the learning rate from each of the encoder's layers to the one below it.
        weight_average: decay per step of the running average of all weights that is tested; 0 tests the last ones.
        frozen_encoder: stage 2 leaves the encoder as stage 1 left it.
        readout: which tokens are read out: each modality's "class" token, that of the classified "pixel", or "both".
        profile_skip: a linear map adds the pixel's own profiles to its embedding.
        moved_windows: training windows are moved at random, so that the pixel stands anywhere in them.
        token_drop: share of tokens that stage 2 hides from the encoder in training, never the pixel's own.
        stride: pixels are classified by all windows of a grid of this spacing that hold them, and their scores
            averaged; 0: by their own window alone.
        temperature: initial temperature of the cosines.
        embedding: width of the space that windows and texts share.
        head: "language" compares windows with class texts; "linear" puts a linear classifier in their place.
        text_tower: "scratch" trains a small one; "clip" takes a frozen one from open_clip; "file" takes class
            embeddings from a file. The last two are projected to the embedding by one learned matrix.
        prompts: sentences about the classes, of one set or the mean over several; those of a file are its own.
        text_width, text_depth, text_heads: sizes of the text tower that is trained.
        clip_model: open_clip's name of the model.
        clip_weights: open_clip's tag, the path of a local file or folder, "embedded" (the small CLIP that the suite
            trains itself; its architecture then takes the place of `clip_model`) or "random".
        text_file: an .npz file of `diffclip embed-texts`, for text_tower "file"; relative to the working folder.
        graph: scores are multiplied by labels spread over a graph of all pixels of the scene (transductive).
        graph_neighbours, graph_alpha: nearest pixels that each is joined with; share that it takes from them.
        graph_most: pixels on the graph; in a larger scene a random draw of them, and the others take what those have.
        reference_quirks: what the released code does otherwise than intended, see `quirks.py`; each may set
            another option.
        precision: of matrix products in training and testing: "fp32", "tf32" (on a GPU; fp32 elsewhere), "bf16" or
            "bf16-triton" (short sequences attended by kernels of the suite's own on a GPU; bf16 elsewhere).
    """

    modalities: tuple[str, ...] = ("hsi", "aux")
    scaling: Scaling = "standard"
    profiles: bool = False
    token_size: int = 1
    stem: int = 128
    width: int = 128
    depth: int = 4
    heads: int = 8
    mlp_ratio: float = 2.0
    shared_encoder: bool = True
    decoder_width: int = 128
    decoder_depth: int = 3
    decoder_heads: int = 8
    pretrain: Literal["scene", "labelled", "none"] = "scene"
    pretrain_scene: str = ""
    masking: bool = True
    mask_ratios: dict[str, float] = field(default_factory=dict)
    crops: bool = False
    diffusion: bool = True
    diffusion_steps: int = 1000
    time_limit: int | None = None
    hidden_weight: float = 0.1
    visible_weight: float = 1.0
    pretrain_steps: int = 2000
    pretrain_epochs: int = 400
    pretrain_batch: int = 128
    pretrain_lr: float = 1e-4
    pretrain_schedule: Literal["restarts", "cosine"] = "restarts"
    pretrain_weight_decay: float = 1e-4
    epochs: int = 150
    steps: int | None = None
    batch: int = 128
    balanced: bool = False
    optimiser: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-4
    lr_schedule: Literal["drops", "cosine"] = "drops"
    weight_decay: float = 1e-5
    layer_decay: float = 1.0
    weight_average: float = 0.0
    frozen_encoder: bool = False
    readout: Literal["class", "pixel", "both"] = "class"
    profile_skip: bool = False
    moved_windows: bool = False
    token_drop: float = 0.0
    stride: int = 0
    temperature: float = 0.07
    embedding: int = 128
    head: Literal["language", "linear"] = "language"
    text_tower: Literal["scratch", "clip", "file"] = "scratch"
    prompts: Prompts = ("p1",)
    text_width: int = 128
    text_depth: int = 3
    text_heads: int = 8
    clip_model: str = "ViT-B-32"
    clip_weights: str = "openai"
    text_file: str = ""
    graph: bool = False
    graph_neighbours: int = 10
    graph_alpha: float = 0.95
    graph_most: int = 50_000
    reference_quirks: tuple[Quirk, ...] = ()
    precision: Literal["fp32", "tf32", "bf16", "bf16-triton"] = "fp32"

    def __post_init__(self) -> None:
        for name, value in settled(self).items():
            object.__setattr__(self, name, value)
        if wrong := next((problem for check in _CHECKS for problem in check(self)), None):
            raise ValueError(wrong)

    @property
    def uses_encoder_as_it_is(self) -> bool:
        """Whether what stage 1 left is used without stage 2: frozen under the head, or under a graph."""
        return self.frozen_encoder or self.graph

    def stage_1(self, window: int | None, mask_ratio: float | None) -> dict[str, Any]:
        """Return everything that decides the weights of stage 1, as JSON values."""
        ratio = mask_ratio if self.masking and mask_ratio is not None else 0.0
        length = "pretrain_epochs" if self.pretrain == "labelled" else "pretrain_steps"
        return {
            "window": window,
            "mask_ratio": ratio,
            "mask_ratios": self._own_ratios(ratio) if self.masking else {},
            "modalities": list(self.modalities),
            "reference_quirks": [quirk for quirk in self.reference_quirks if quirk in STAGE_1],
            **{name: getattr(self, name) for name in (*_STAGE_1, length)},
        }

    def _own_ratios(self, ratio: float) -> dict[str, float]:
        """Return the entries of `mask_ratios` that change something where the study's is `ratio`."""
        others = self.mask_ratios.get("aux", ratio)
        return {
            name: own
            for name, own in sorted(self.mask_ratios.items())
            if own != (ratio if name in ("hsi", "aux") else others)
        }


def mask_ratio_of(name: str, mask_ratios: Mapping[str, float], otherwise: Otherwise) -> float | Otherwise:
    """Return the mask ratio of a modality: its own, that of all auxiliary ones, or `otherwise`."""
    others = otherwise if name == "hsi" else mask_ratios.get("aux", otherwise)
    return mask_ratios.get(name, others)


def _sizes(options: Options) -> Iterator[str]:
    for width, heads in (("width", "heads"), ("decoder_width", "decoder_heads"), ("text_width", "text_heads")):
        if getattr(options, width) % getattr(options, heads):
            found = f"{width} {getattr(options, width)} and {heads} {getattr(options, heads)}"
            yield f"found {found}, expected {width} to be a multiple of {heads}"
    for width in ("width", "decoder_width"):
        if getattr(options, width) % 4:
            yield f"found {width} {getattr(options, width)}, expected a multiple of 4"


def _what_is_seen(options: Options) -> Iterator[str]:
    names = options.modalities
    if not names or len(set(names)) < len(names) or not all(re.fullmatch("[a-z][a-z0-9]*", name) for name in names):
        yield f"found modalities {list(names)}, expected one or more names such as hsi, aux, lidar, each once"
    if options.text_tower == "file" and not options.text_file:
        yield "found text_tower file and no text_file, expected the path of an .npz file in it"


def _where_stage_1_learns(options: Options) -> Iterator[str]:
    if options.pretrain_scene and options.pretrain != "scene":
        yield f"found pretrain_scene and pretrain {options.pretrain}, expected pretrain scene"
    if "/" in options.pretrain_scene or options.pretrain_scene.endswith(".yaml"):
        yield f"found pretrain_scene {options.pretrain_scene}, expected the name of a card, not a path"


def _ranges(options: Options) -> Iterator[str]:
    values = {name: getattr(options, name) for name in (*_FROM_0, *_FROM_1, *_ABOVE_0)}
    limit, steps = options.time_limit, options.diffusion_steps
    within = {
        **{name: (0 <= values[name] < math.inf, "0 or more") for name in _FROM_0},
        **{name: (values[name] >= 1, "1 or more") for name in _FROM_1},
        **{name: (0 < values[name] < math.inf, "a number above 0") for name in _ABOVE_0},
        "steps": (options.steps is None or options.steps >= 0, "0 or more"),
        "mask_ratios": (all(0 <= ratio < 1 for ratio in options.mask_ratios.values()), "0 <= ratio < 1"),
        "time_limit": (limit is None or 1 <= limit <= steps, f"1 to diffusion_steps, {steps}"),
        "token_drop": (0 <= options.token_drop < 1, "0 <= share < 1"),
        "layer_decay": (0 < options.layer_decay <= 1, "0 < factor <= 1"),
        "weight_average": (0 <= options.weight_average < 1, "0 <= decay < 1"),
        "graph_most": (options.graph_most >= 2, "2 or more"),
        "graph_alpha": (0 < options.graph_alpha < 1, "0 < alpha < 1"),
    }
    for name, (holds, expected) in within.items():
        if not holds:
            yield f"found {name} {getattr(options, name)}, expected {expected}"


def _together(options: Options) -> Iterator[str]:
    if options.moved_windows and options.readout == "class":
        yield "found moved_windows and readout class, expected pixel or both: a class token stands for a whole window"
    if options.stride and not options.moved_windows:
        yield "found stride and no moved_windows, expected both: training must show pixels anywhere in a window"
    if options.profile_skip and not options.profiles:
        yield "found profile_skip and no profiles, expected both"
    if options.graph and not options.stride:
        yield "found graph and no stride, expected a stride: its features are averages over windows"
    quirks = options.reference_quirks
    if "validation_in_test" in quirks and "validation_picks_checkpoint" not in quirks:
        yield "found the quirk validation_in_test, expected validation_picks_checkpoint beside it"
    if "validation_picks_checkpoint" in quirks and options.weight_average:
        yield "found the quirk validation_picks_checkpoint and weight_average, expected one way to choose the weights"


_CHECKS = (_ranges, _sizes, _what_is_seen, _where_stage_1_learns, _together)

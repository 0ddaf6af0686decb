"""Options that several commands take, and what their texts mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from diffclip.errors import UserError
from diffclip.study.cells import VARIANT_NAME, ProtocolName, fits_in_a_name

if TYPE_CHECKING:
    from diffclip.protocol.method import Method

Out = Annotated[Path, typer.Option(help="the study's folder: scenes, splits, checkpoints and records lie below it")]
Protocol = Annotated[ProtocolName, typer.Option(help="how training and test pixels are drawn")]
Shots = Annotated[int, typer.Option(min=1, help="labelled training pixels per class")]
Seeds = Annotated[str, typer.Option(help="seeds, as a list or range: 0,1,2 or 0-9")]
Options = Annotated[str, typer.Option(help="options of the method as YAML or JSON, e.g. '{features: means}'")]
Variant = Annotated[str, typer.Option(help="a named set of options")]
MethodName = Annotated[str, typer.Option(help="a file in baselines/, or diffclip")]
SceneName = Annotated[str, typer.Option(help="a card in config/scenes/, or the path of one")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="where networks are trained")]
Window = Annotated[int, typer.Option(help="side of the window in pixels, for methods that have one")]
MaskRatio = Annotated[float, typer.Option(help="share of hidden tokens in stage 1")]
Margin = Annotated[
    int | None,
    typer.Option(
        help="strict: least distance of training and test pixels; default: the window, or what a method needs"
    ),
]
SeedsAtOnce = Annotated[
    int | None,
    typer.Option(
        min=1, help="seeds that are trained as one model, by methods that can; default: what suits the device"
    ),
]
OnSmallClass = Annotated[Literal["error", "skip"], typer.Option(help="for classes with too few pixels for the shots")]


def method_of(
    name: str, variant: str, options: str, window: int, mask_ratio: float
) -> tuple[Method, int | None, float | None]:
    """Return a method with its options, and the window and mask ratio where it has these axes."""
    from diffclip.protocol.catalogue import make_method

    if not re.fullmatch(VARIANT_NAME, variant):
        raise UserError(f"--variant: found {variant!r}, expected letters, digits, _, ., + and -, no sign first")
    _check_window(window)
    if not 0 <= mask_ratio < 1:
        raise UserError(f"--mask-ratio: found {mask_ratio}, expected 0 <= ratio < 1")
    if not fits_in_a_name(mask_ratio):
        raise UserError(f"--mask-ratio: found {mask_ratio}, expected at most six digits, such as {mask_ratio:g}")
    made = make_method(name, variant, options_of(options))
    axes = made.axes
    cell_window = window if "window" in axes else None
    try:
        made.check(cell_window)
    except UserError as error:
        raise UserError(f"method {name}, variant {variant}: {error}") from None
    return made, cell_window, mask_ratio if "mask_ratio" in axes else None


def _check_window(window: int) -> None:
    if window < 1 or window % 2 == 0:
        raise UserError(f"--window: found {window}, expected an odd number")


def margin_of(
    protocol: str, margin: int | None, window: int, made: Method | None = None, cell_window: int | None = None
) -> int:
    """Return the margin asked for, or by default the window, and no less than keeps windows of a method apart."""
    _check_window(window)
    reach = made.window_reach(cell_window) if made else 0
    least = 2 * reach + 1
    if margin is not None and protocol == "strict" and margin < least:
        looks = f": {made.title} looks {reach} pixels far" if made else ""
        raise UserError(f"--margin: found {margin}, expected at least {least}{looks}")
    return margin or max(window, least)


def options_of(text: str) -> dict[str, Any]:
    """Read a method's options from YAML or JSON."""
    from diffclip.validation import parse_yaml

    found = parse_yaml(text, "--options")
    if not isinstance(found, dict):
        raise UserError(f"--options: found {text!r}, expected names and values such as '{{features: means}}'")
    return found


def seeds_of(text: str) -> list[int]:
    """Read "0,1,2" or "0-9" or both."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or int(last) < int(first):
            raise UserError(f"--seeds: found {text!r}, expected a list or range such as 0,1,2 or 0-9")
        seeds += range(int(first), int(last) + 1)
    return list(dict.fromkeys(seeds))


def touch(paths: Iterable[Path]) -> None:
    """Make kept files look fresh to the workflow, which compares times before contents."""
    for path in paths:
        os.utime(path)

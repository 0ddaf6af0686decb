"""Where DiffCLIP's released code errs or departs from its text: every deviation by name, off unless asked for.

Commit ab17307 of github.com/icey-zhang/DiffCLIP. A quirk that is the value of another option sets that option; the
others are looked up by name where they act.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final, Literal, get_args

Quirk = Literal[
    "pretrain_on_labelled_only",  # stage 1 sees the windows of the training pixels alone
    "joint_lidar_scaling",  # one minimum and maximum for the cube, one for all LiDAR channels
    "unpaired_crops",  # stage 1 crops the HSI and LiDAR windows of a sample differently
    "lidar_mask_order",  # the encoder is shown LiDAR tokens at places of the restore order, not those called visible
    "mask_rounding",  # the number of kept tokens suffers from floating point: 4 of 25 at a mask ratio of 0.8
    "clean_finetune_random_time",  # stage 2 gives clean windows a random time step
    "random_test_time",  # so does testing: every pixel has a random time step
    "same_class_negatives",  # windows of one class in a batch are negatives; both directions of the loss are summed
    "warm_logit_scale",  # the temperature starts at 0.7, and the scale of cosines is not bounded
    "tiny_head",  # the head starts with weights of deviation 2e-5 and a random bias
    "scratch_text_tower",  # the text tower is small and starts from random weights
    "validation_picks_checkpoint",  # 200 labelled pixels pick the best epoch of stage 2
    "validation_in_test",  # these pixels are tested on all the same
]
QUIRKS: Final[tuple[Quirk, ...]] = get_args(Quirk)

# Those that decide the checkpoint of stage 1 and are no option's value.
STAGE_1: Final[tuple[Quirk, ...]] = ("unpaired_crops", "lidar_mask_order", "mask_rounding")

_SETS: dict[Quirk, tuple[str, Any]] = {
    "pretrain_on_labelled_only": ("pretrain", "labelled"),
    "joint_lidar_scaling": ("scaling", "minmax-joint"),
    "unpaired_crops": ("crops", True),
    "warm_logit_scale": ("temperature", 0.7),
    "scratch_text_tower": ("text_tower", "scratch"),
}


def settled(options: Any) -> dict[str, Any]:
    """Return the options that the quirks of `options.reference_quirks` set, and the quirks in the order of `QUIRKS`.

    Args:
        options: `Options`.

    Raises:
        ValueError: another value than the default is given to an option that a quirk sets.
    """
    wanted = [quirk for quirk in QUIRKS if quirk in options.reference_quirks]
    defaults = {option.name: option.default for option in fields(options)}
    found: dict[str, Any] = {"reference_quirks": tuple(wanted)}
    for quirk in wanted:
        name, value = _SETS.get(quirk, ("", None))
        if not name:
            continue
        if getattr(options, name) not in (defaults[name], value):
            raise ValueError(f"found {name} {getattr(options, name)!r} and the quirk {quirk}, which sets {value!r}")
        found[name] = value
    return found

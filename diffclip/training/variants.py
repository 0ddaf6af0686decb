"""Named sets of options, each a row of a table: the paper's way, the released code's, ours, and ablations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diffclip.training.quirks import QUIRKS

# What was found to help, chosen once for all scenes; docs/method.md says why. Stage 1, the shared encoder and the
# head that compares with class texts are DiffCLIP's.
TUNED: Final[Mapping[str, Any]] = {
    "profiles": True,
    "decoder_depth": 1,
    "time_limit": 300,
    "pretrain_steps": 400,
    "pretrain_batch": 32,
    "pretrain_lr": 1e-3,
    "pretrain_schedule": "cosine",
    "readout": "both",
    "profile_skip": True,
    "moved_windows": True,
    "stride": 3,
    "token_drop": 0.7,
    "steps": 150,
    "batch": 32,
    "balanced": True,
    "optimiser": "adamw",
    "lr": 5e-4,
    "lr_schedule": "cosine",
    "weight_decay": 0.02,
    "layer_decay": 0.7,
    "weight_average": 0.98,
    "temperature": 0.1,
    "head": "language",
    "text_tower": "scratch",
}

_PARTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "without-stage-1": {"pretrain": "none"},
    "pretrain-labelled": {"pretrain": "labelled"},
    "without-noise": {"diffusion": False},
    "without-masking": {"masking": False},
    "separate-encoders": {"shared_encoder": False},
    "hsi-only": {"modalities": ["hsi"]},
    "aux-only": {"modalities": ["aux"]},
    "linear-head": {"head": "linear"},
    "prompts-descriptions": {"prompts": ["descriptions"]},
}

_PARTS_OF_TUNED: Final[Mapping[str, Mapping[str, Any]]] = {
    **_PARTS,
    "clip-texts": {"text_tower": "clip"},
    # A class token stands for its whole window: the pixel must be in the middle.
    "class-token": {"readout": "class", "moved_windows": False, "stride": 0},
    "pixel-token": {"readout": "pixel"},
    "one-window": {"moved_windows": False, "stride": 0},
    "without-profiles": {"profiles": False, "profile_skip": False},
    "without-skip": {"profile_skip": False},
    "without-token-drop": {"token_drop": 0.0},
    "joint-scaling": {"scaling": "minmax-joint"},
    "all-times": {"time_limit": None},
    "longer-stage-1": {"pretrain_steps": 2000},
    "narrow": dict.fromkeys(("stem", "width", "decoder_width", "embedding", "text_width"), 64),
    "shuffled-batches": {"balanced": False},
    "even-rates": {"layer_decay": 1.0},
    "last-weights": {"weight_average": 0.0},
    "frozen": {"frozen_encoder": True},
    "frozen-without-stage-1": {"frozen_encoder": True, "pretrain": "none"},
    "graph": {"graph": True},
    "graph-without-stage-1": {"graph": True, "pretrain": "none"},
}

VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "as-released": {"reference_quirks": QUIRKS},
    "as-written": {"text_tower": "clip"},
    "in-domain-clip": {"pretrain": "none"},
    **_PARTS,
    "prompts-p2": {"prompts": ["p2"]},
    "prompts-p3": {"prompts": ["p3"]},
    "prompts-all": {"prompts": ["p1", "p2", "p3", "descriptions"]},
    "tuned": TUNED,
    **{f"tuned-{name}": {**TUNED, **changes} for name, changes in _PARTS_OF_TUNED.items()},
}

"""Options that make a method small enough for the contract suite; a method that is quick by itself needs none."""

from __future__ import annotations

from typing import Any

# Of `tests/conftest.py`; made known to open_clip only for methods that name it here.
TINY_CLIP = "tiny-test-clip"

BRIEF = {"epochs": 1, "least_steps": 3, "batch": 8}
CLIP = {"clip_model": TINY_CLIP, "clip_weights": "random"}
FAST: dict[str, dict[str, Any]] = {
    "diffclip": {
        **dict.fromkeys(("stem", "width", "decoder_width", "embedding", "text_width"), 16),
        **dict.fromkeys(("depth", "decoder_depth", "text_depth"), 1),
        **dict.fromkeys(
            ("heads", "decoder_heads", "text_heads", "pretrain_steps", "pretrain_epochs", "epochs", "steps"), 2
        ),
        **dict.fromkeys(("batch", "pretrain_batch"), 8),
        "text_tower": "scratch",  # CLIP's weights are not at hand everywhere
    },
    "clap": {**CLIP, "epochs": 2},
    "clip_adapter": {**CLIP, "epochs": 2},
    "clip_linear_probe": CLIP,
    "clip_lora": {**CLIP, "iterations_per_shot": 2},
    "clip_zero_shot": CLIP,
    "cnn_1d": BRIEF,
    "cnn_2d": {**BRIEF, "width": 0.1, "kernel": 2},
    "cnn_3d": {**BRIEF, "width": 0.1, "window": 5},
    "cocoop": {**CLIP, "epochs": 1},
    "coop": {**CLIP, "epochs": 2, "context": 4},
    "coupled_cnn": {**BRIEF, "width": 0.1, "window": 9},
    "endnet": {**BRIEF, "levels": 2},
    "exvit": {**BRIEF, "width": 8, "own_depth": 1, "joint_depth": 1},
    "fusatnet": {**BRIEF, "width": 0.02, "window": 11},
    "hybridsn": {**BRIEF, "width": 0.1, "window": 9},
    "lp_plus_plus": {**CLIP, "iterations": 20},
    "mft": {**BRIEF, "width": 16, "depth": 1},
    "random_forest": {"trees": 10},
    "s2enet": {**BRIEF, "width": 0.1},
    "spectralformer": {**BRIEF, "width": 8, "depth": 3},
    "ss_mae": {**BRIEF, "width": 8, "depth": 1, "heads": 2, "components": 13, "pretrain_batch": 8, "pretrain_steps": 3},
    "tip_adapter": {**CLIP, "epochs": 2},
    "two_branch_cnn": {"width": 0.05, "branch_steps": 5, "fusion_steps": 5},
}

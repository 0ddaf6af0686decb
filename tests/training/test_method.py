"""DiffCLIP keeps its checkpoints apart, and says what it turns and what it sees."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method as checked_method
from diffclip.protocol.checkpoints import checkpoint_name
from diffclip.training.method import DiffCLIPMethod

STAGE_1: dict[str, Any] = {
    "scaling": "minmax",
    "profiles": True,
    "token_size": 5,
    "stem": 24,
    "width": 24,
    "depth": 2,
    "heads": 4,
    "mlp_ratio": 3.0,
    "decoder_width": 24,
    "decoder_depth": 2,
    "decoder_heads": 4,
    "modalities": ("hsi",),
    "shared_encoder": False,
    "masking": False,
    "mask_ratios": {"aux": 0.3},
    "crops": True,
    "diffusion": False,
    "diffusion_steps": 10,
    "time_limit": 300,
    "hidden_weight": 0.3,
    "visible_weight": 0.3,
    "pretrain_steps": 5,
    "pretrain_batch": 5,
    "pretrain_lr": 0.1,
    "pretrain_schedule": "cosine",
    "pretrain_weight_decay": 0.1,
    "precision": "bf16",
}
STAGE_2: dict[str, Any] = {
    "epochs": 5,
    "steps": 5,
    "batch": 5,
    "balanced": True,
    "optimiser": "adamw",
    "lr": 0.1,
    "lr_schedule": "cosine",
    "layer_decay": 0.5,
    "weight_average": 0.9,
    "frozen_encoder": True,
    "readout": "both",
    "token_drop": 0.5,
    "weight_decay": 0.1,
    "temperature": 0.5,
    "embedding": 24,
    "head": "linear",
    "text_tower": "clip",
    "prompts": ("p2",),
    "clip_model": "RN50",
    "clip_weights": "random",
    "text_file": "texts.npz",
    "text_width": 24,
    "text_depth": 2,
    "text_heads": 4,
}


def _name(method: DiffCLIPMethod, window: int = 5, mask_ratio: float = 0.6) -> str:
    pretraining = method.pretraining(window, mask_ratio)
    assert pretraining is not None
    return checkpoint_name(pretraining)


def test_every_option_belongs_to_one_stage():
    names = {field.name for field in dataclasses.fields(DiffCLIPMethod.Options)}
    # Where stage 1 learns, quirks, which belong to either stage, and what needs another option beside it:
    # test_ablations.py, test_quirks.py and test_tuned.py.
    assert names == {
        *STAGE_1,
        *STAGE_2,
        *("pretrain", "pretrain_scene", "pretrain_epochs", "reference_quirks"),
        *("moved_windows", "stride", "profile_skip", "graph", "graph_neighbours", "graph_alpha", "graph_most"),
    }


@pytest.mark.parametrize("option", STAGE_1)
def test_an_option_of_stage_1_asks_for_a_checkpoint_of_its_own(make_method, option):
    assert _name(make_method(**{option: STAGE_1[option]})) != _name(make_method())


@pytest.mark.parametrize("option", STAGE_2)
def test_an_option_of_stage_2_shares_the_checkpoint(make_method, option):
    changed = make_method(**{option: STAGE_2[option]})
    assert changed.options != make_method().options
    assert _name(changed) == _name(make_method())


def test_window_and_mask_ratio_ask_for_a_checkpoint_of_their_own(make_method):
    method = make_method()
    assert len({_name(method), _name(method, window=7), _name(method, mask_ratio=0.61)}) == 3
    assert _name(method).startswith("diffclip_window-5_mask-0.6_")


def test_without_pretraining_there_is_no_checkpoint_no_mask_and_no_look_at_test_windows(make_method):
    method, full = make_method(pretrain="none"), make_method()
    assert method.pretraining(5, None) is None
    assert (method.axes, method.transductive) == (frozenset({"window"}), False)
    assert (full.axes, full.transductive) == (frozenset({"window", "mask_ratio"}), True)


def test_it_reaches_as_far_as_its_window(make_method):
    assert make_method().reach(11) == 5


@pytest.mark.parametrize("part", ["", "decoder_", "text_"])
def test_widths_that_the_heads_do_not_divide_are_refused_by_name(part):
    message = f"found {part}width 10 and {part}heads 4, expected {part}width to be a multiple of {part}heads"
    with pytest.raises(UserError, match=message):
        checked_method("diffclip", "odd", {f"{part}width": 10, f"{part}heads": 4})


def _numbers() -> list[str]:
    hints = typing.get_type_hints(DiffCLIPMethod.Options)
    return [name for name, hint in hints.items() if hint in (int, float, int | None)]


@pytest.mark.parametrize("name", _numbers())
def test_a_number_out_of_its_range_is_refused_by_name(name):
    is_float = typing.get_type_hints(DiffCLIPMethod.Options)[name] is float
    for value in (-1, *((math.nan, math.inf) if is_float else ())):
        with pytest.raises(UserError, match=rf"found {name} {value}.*, expected "):
            checked_method("diffclip", "x", {name: value})


@pytest.mark.parametrize("name", ["lr", "pretrain_lr", "batch", "pretrain_batch", "embedding", "heads", "text_depth"])
def test_nothing_of_what_must_be_something_is_refused(name):
    with pytest.raises(UserError, match=rf"found {name} 0.*, expected "):
        checked_method("diffclip", "x", {name: 0})


@pytest.mark.parametrize("name", ["epochs", "steps", "pretrain_steps", "pretrain_epochs"])
def test_a_length_of_0_is_no_training(name):
    assert getattr(checked_method("diffclip", "x", {name: 0}).options, name) == 0


def test_defaults_are_the_released_configuration():
    options = DiffCLIPMethod.Options()
    assert (options.width, options.depth, options.heads, options.mlp_ratio) == (128, 4, 8, 2.0)
    assert (options.decoder_width, options.decoder_depth, options.decoder_heads) == (128, 3, 8)
    assert (options.text_width, options.text_depth, options.text_heads) == (128, 3, 8)
    assert (options.epochs, options.batch, options.lr, options.weight_decay) == (150, 128, 1e-4, 1e-5)
    assert (options.pretrain_batch, options.pretrain_lr, options.pretrain_weight_decay) == (128, 1e-4, 1e-4)
    assert (options.hidden_weight, options.visible_weight) == (0.1, 1.0)


def test_parameters_are_counted_once_trained(make_method, draw_task):
    method = make_method(pretrain="none", epochs=0)
    method.train(draw_task())
    model = method.model
    parts = (model.encoder, model.head, model.text_tower, model.scale)
    assert method.n_parameters == sum(np.prod(p.shape) for part in parts for p in part.parameters())

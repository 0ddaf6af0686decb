"""Weights of DiffCLIP's released code (github.com/icey-zhang/DiffCLIP) in the modules of this suite.

The released code gives the names of the second modality the suffix `_LIDAR`. Its per-pixel layers are 1x1
convolutions of (B, C, H, W), where the suite has linear layers of (B, P, C).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jaxtyping import Int64
from torch import Tensor

from diffclip.errors import UserError
from diffclip.model.classifier import DiffCLIP
from diffclip.model.pretrainer import MaskedDiffusion

# Left: beginnings of the suite's names; right: of the released ones, {} is the modality's suffix.
_MODALITY = {
    "stem": "dimen_redu{}",
    "tokens": "patch_embed{}.proj",
    "class_token.weight": "cls_token{}",
    "time": "t_embedder{}",
    "positions.weight": "pos_embed{}",
}
_DECODER = {
    "embed": "decoder_embed{}",
    "mask_token.weight": "mask_token{}",
    "positions.weight": "decoder_pos_embed{}",
    "blocks": "decoder_blocks{}",
    "norm": "decoder_norm{}",
    "projection": "projection_de{}",
    "pixels": "decoder_pred{}",
    "channels": "dimen_expa{}",
}
_CLASSIFIER = {
    "head": "visual.head",
    "text_tower.tokens": "token_embedding",
    "text_tower.positions.weight": "positional_embedding",
    "text_tower.blocks": "transformer.resblocks",
    "text_tower.norm": "ln_final",
    "text_tower.projection.weight": "text_projection",
    "scale.weight": "logit_scale",
}
_SUFFIXES = ("", "_LIDAR")

# Parts of a transformer block: of the encoder and the decoders, and of the text tower.
_BLOCK = {
    ".attention.qkv.": ".attn.qkv.",
    ".attention.out.": ".attn.proj.",
    ".mlp.0.": ".mlp.fc1.",
    ".mlp.2.": ".mlp.fc2.",
}
_TEXT_BLOCK = {
    ".norm1.": ".ln_1.",
    ".norm2.": ".ln_2.",
    ".attention.qkv.": ".attn.in_proj_",
    ".attention.out.": ".attn.out_proj.",
    ".mlp.0.": ".mlp.c_fc.",
    ".mlp.2.": ".mlp.c_proj.",
}

# What the released code makes and never uses: a second encoder, two projections, a classification head.
_UNUSED = re.compile(r"(visual\.)?(blocks_LIDAR|norm_LIDAR|projection_en_(mask|visible)(_LIDAR)?|cls_head)\.")


def load_released(
    model: MaskedDiffusion | DiffCLIP, weights: Mapping[str, Tensor], vocabulary: Int64[Tensor, " V"] | None = None
) -> None:
    """Load a released checkpoint into a model of the same sizes.

    Args:
        model: of stage 1, or of stage 2 with the suite's `TextTower`.
        weights: the released model's state dict (of stage 1 or stage 2, like the model).
        vocabulary: CLIP's ids of the text tower's tokens (`Tokens.vocabulary`); None when it has all 49,408.

    Raises:
        UserError: names that are missing or unknown, or a tensor of another size.
    """
    own = model.state_dict()
    beginnings = _beginnings("visual." if isinstance(model, DiffCLIP) else "")
    released = {name: _released_name(name, beginnings) for name in own}
    _refuse("missing", set(released.values()) - set(weights))
    _refuse("unknown", {name for name in set(weights) - set(released.values()) if not _UNUSED.match(name)})
    converted = {name: _converted(weights[theirs], theirs, vocabulary) for name, theirs in released.items()}
    for name, value in converted.items():
        if value.shape != own[name].shape:
            found, expected = tuple(value.shape), tuple(own[name].shape)
            raise UserError(f"released weights, {released[name]}: found shape {found}, expected {expected}")
    model.load_state_dict(converted)


def _beginnings(visual: str) -> dict[str, str]:
    """Return the beginnings of the suite's names and of the released ones, where `visual` precedes the encoder's."""
    beginnings = {"encoder.blocks": f"{visual}blocks", "encoder.norm": f"{visual}norm", **_CLASSIFIER}
    for position, suffix in enumerate(_SUFFIXES):
        for ours, theirs in _MODALITY.items():
            beginnings[f"encoder.modalities.{position}.{ours}"] = visual + theirs.format(suffix)
        for ours, theirs in _DECODER.items():
            beginnings[f"decoders.{position}.{ours}"] = theirs.format(suffix)
    return beginnings


def _released_name(name: str, beginnings: Mapping[str, str]) -> str:
    """Return what the released code calls the entry `name` of the suite's state dict."""
    start = next((start for start in beginnings if f"{name}.".startswith(f"{start}.")), None)
    if start is None:
        raise UserError(f"released weights: found {name} in the model, which the released code does not have")
    theirs = beginnings[start] + name.removeprefix(start)
    if ".blocks." in name:
        for ours, part in (_TEXT_BLOCK if name.startswith("text_tower") else _BLOCK).items():
            theirs = theirs.replace(ours, part)
    return theirs


def _converted(value: Tensor, theirs: str, vocabulary: Tensor | None) -> Tensor:
    """Return a released tensor in the suite's layout."""
    if theirs == "text_projection":
        return value.mT
    if theirs == "token_embedding.weight":
        return value if vocabulary is None else value[vocabulary]
    if value.ndim == 4:  # a convolution's (out, in, row, column); the suite's tokens list their pixels first
        return value.permute(0, 2, 3, 1).flatten(1)
    return value[0] if value.ndim == 3 else value  # tokens and positions have a batch axis of one


def _refuse(what: str, names: Iterable[str]) -> None:
    if listed := ", ".join(sorted(names)):
        raise UserError(f"released weights: {what} {listed}")

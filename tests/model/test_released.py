"""The released code's weights give the released code's numbers.

`$DIFFCLIP_REFERENCE` names a folder with `pretrain_golden.npz` and `finetune_golden.npz`: inputs, weights (`param/...`)
and outputs of the released code on a small configuration. Without it the comparisons are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.language.tokenizer import tokenize
from diffclip.language.tower import TextTower
from diffclip.model.classifier import DiffCLIP, contrastive_loss, instance_loss
from diffclip.model.pretrainer import MaskedDiffusion
from diffclip.model.released import load_released
from diffclip.training.pretraining import kept_of

TOLERANCE = 1e-5
Reference = Callable[[str], dict[str, torch.Tensor]]


@pytest.fixture
def pretrainer(small) -> MaskedDiffusion:
    return MaskedDiffusion([6, 2], small).eval()


def _classifier(small, vocabulary: int) -> DiffCLIP:
    tower = TextTower(vocabulary, 12, 2, 2, embedding=16)
    return DiffCLIP([6, 2], small, tower, embedding=16, temperature=0.7).eval()


# ---- names and layouts: always run


def _encoder_shapes(prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the released encoder with window 5, 6 + 2 channels, stem 8, width 16, depth 2."""
    shapes: dict[str, tuple[int, ...]] = {"norm.weight": (16,), "norm.bias": (16,)}
    for suffix, channels in (("", 6), ("_LIDAR", 2)):
        shapes |= {f"cls_token{suffix}": (1, 1, 16), f"pos_embed{suffix}": (1, 26, 16)}
        shapes |= _layer(f"dimen_redu{suffix}.0", (8, channels, 1, 1)) | _layer(f"dimen_redu{suffix}.3", (8, 8, 1, 1))
        for norm in (f"dimen_redu{suffix}.1", f"dimen_redu{suffix}.4"):
            shapes |= _layer(norm, (8,)) | {f"{norm}.running_mean": (8,), f"{norm}.running_var": (8,)}
            shapes[f"{norm}.num_batches_tracked"] = ()
        shapes |= _layer(f"patch_embed{suffix}.proj", (16, 8, 1, 1))
        shapes |= _layer(f"t_embedder{suffix}.mlp.0", (16, 256)) | _layer(f"t_embedder{suffix}.mlp.2", (16, 16))
        for block in range(2):
            shapes |= _block(f"blocks{suffix}.{block}", 16)
    shapes |= _layer("norm_LIDAR", (16,))
    return {prefix + name: shape for name, shape in shapes.items()}


def _layer(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _block(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        **_layer(f"{name}.norm1", (width,)),
        **_layer(f"{name}.attn.qkv", (3 * width, width)),
        **_layer(f"{name}.attn.proj", (width, width)),
        **_layer(f"{name}.norm2", (width,)),
        **_layer(f"{name}.mlp.fc1", (2 * width, width)),
        **_layer(f"{name}.mlp.fc2", (width, 2 * width)),
    }


def _pretrainer_shapes() -> dict[str, tuple[int, ...]]:
    shapes = _encoder_shapes() | _layer("cls_head.0", (256, 32))
    for suffix, channels in (("", 6), ("_LIDAR", 2)):
        shapes |= {f"mask_token{suffix}": (1, 1, 12), f"decoder_pos_embed{suffix}": (1, 26, 12)}
        shapes |= _layer(f"decoder_embed{suffix}", (12, 16)) | _layer(f"decoder_norm{suffix}", (12,))
        shapes |= _block(f"decoder_blocks{suffix}.0", 12) | _layer(f"projection_de{suffix}", (12, 12))
        shapes |= _layer(f"decoder_pred{suffix}", (8, 12)) | _layer(f"dimen_expa{suffix}", (channels, 8, 1, 1))
        shapes |= _layer(f"projection_en_mask{suffix}", (16, 16)) | _layer(f"projection_en_visible{suffix}", (16, 16))
    return shapes


def _classifier_shapes(vocabulary: int = 50) -> dict[str, tuple[int, ...]]:
    shapes = _encoder_shapes("visual.") | _layer("visual.head", (16, 32)) | _layer("ln_final", (12,))
    shapes |= {"positional_embedding": (77, 12), "text_projection": (12, 16), "logit_scale": ()}
    shapes["token_embedding.weight"] = (vocabulary, 12)
    for block in range(2):
        start = f"transformer.resblocks.{block}"
        shapes |= {f"{start}.attn.in_proj_weight": (36, 12), f"{start}.attn.in_proj_bias": (36,)}
        shapes |= _layer(f"{start}.attn.out_proj", (12, 12)) | _layer(f"{start}.ln_1", (12,))
        shapes |= _layer(f"{start}.ln_2", (12,)) | _layer(f"{start}.mlp.c_fc", (48, 12))
        shapes |= _layer(f"{start}.mlp.c_proj", (12, 48))
    return shapes


UNUSED = ("blocks_LIDAR", "visual.blocks_LIDAR", "norm_LIDAR", "visual.norm_LIDAR", "cls_head", "projection_en_")


def _random_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return weights of which no two have a number in common."""
    weights, used = {}, 0
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        weights[name] = torch.arange(used, used + count).reshape(shape).float()
        used += count
    return weights


@pytest.mark.parametrize("stage", [1, 2])
def test_every_released_number_finds_its_one_place(stage, small, pretrainer):
    shapes = _pretrainer_shapes() if stage == 1 else _classifier_shapes()
    model = pretrainer if stage == 1 else _classifier(small, 50)
    weights = _random_weights(shapes)
    load_released(model, weights)
    found = torch.cat([value.flatten().double() for value in model.state_dict().values()])
    expected = torch.cat([v.flatten().double() for name, v in weights.items() if not name.startswith(UNUSED)])
    assert torch.equal(found.sort().values, expected.sort().values)


def test_names_that_are_easily_confused_go_where_they_belong(small, pretrainer):
    weights = _random_weights(_pretrainer_shapes())
    load_released(pretrainer, weights)
    encoder, decoder = pretrainer.encoder, pretrainer.decoders[1]
    places = {
        "dimen_redu_LIDAR.3.weight": encoder.modalities[1].stem[3].weight[..., None, None],
        "t_embedder.mlp.2.weight": encoder.modalities[0].time.mlp[2].weight,
        "blocks.1.mlp.fc2.weight": encoder.blocks[1].mlp[2].weight,
        "blocks.1.norm2.bias": encoder.blocks[1].norm2.bias,
        "decoder_blocks_LIDAR.0.attn.proj.weight": decoder.blocks[0].attention.out.weight,
        "projection_de_LIDAR.weight": decoder.projection.weight,
        "decoder_pred_LIDAR.weight": decoder.pixels.weight,
    }
    for name, value in places.items():
        assert torch.equal(value, weights[name]), name


def test_matrices_of_the_text_tower_are_turned_and_its_rows_chosen(small):
    weights = _random_weights(_classifier_shapes())
    model = _classifier(small, 3)
    load_released(model, weights, vocabulary=torch.tensor([4, 7, 49]))
    assert torch.equal(model.text_tower.projection.weight, weights["text_projection"].T)
    assert torch.equal(model.text_tower.tokens.weight, weights["token_embedding.weight"][[4, 7, 49]])
    assert torch.equal(model.scale.weight, weights["logit_scale"])


def test_a_kernel_of_several_pixels_lists_pixels_before_channels(small):
    weights = _random_weights(_pretrainer_shapes())
    model = MaskedDiffusion([6, 2], replace(small, window=10, token_size=2))
    for suffix in ("", "_LIDAR"):
        weights[f"patch_embed{suffix}.proj.weight"] = torch.randn(16, 8, 2, 2)
        weights |= {f"decoder_pred{suffix}.weight": torch.randn(32, 12), f"decoder_pred{suffix}.bias": torch.zeros(32)}
    load_released(model, weights)
    image = torch.randn(1, 8, 2, 2)
    embed = model.encoder.modalities[0]
    expected = torch.conv2d(image, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"])
    found = embed.tokens(image[0].permute(1, 2, 0).flatten())
    torch.testing.assert_close(found, expected.flatten(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.bias"), r"missing norm\.bias$"),
        (lambda w: w.update({"head.weight": torch.zeros(2)}), r"unknown head\.weight$"),
        (lambda w: w.update({"norm.bias": torch.zeros(17)}), r"norm\.bias: found shape \(17,\), expected \(16,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(pretrainer, change, message):
    weights = _random_weights(_pretrainer_shapes())
    change(weights)
    before = {name: value.clone() for name, value in pretrainer.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_released(pretrainer, weights)
    torch.testing.assert_close(dict(pretrainer.state_dict()), before, rtol=0, atol=0)


def test_modules_that_the_released_code_does_not_have_are_refused(small):
    model = MaskedDiffusion([6, 2, 3], small)
    with pytest.raises(UserError, match=r"found encoder\.modalities\.2\.stem\.0\.weight in the model"):
        load_released(model, _random_weights(_pretrainer_shapes()))


# ---- numbers: against the released code's own


@pytest.fixture(scope="module")
def reference() -> Reference:
    folder = os.environ.get("DIFFCLIP_REFERENCE")
    if not folder:
        pytest.skip("DIFFCLIP_REFERENCE is not set: parity with the released code is NOT tested")

    def read(name: str) -> dict[str, torch.Tensor]:
        with np.load(Path(folder) / f"{name}_golden.npz") as file:
            return {key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind != "U"}

    return read


def _weights(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("param/"): value for key, value in stored.items() if key.startswith("param/")}


def _rows(image: torch.Tensor) -> torch.Tensor:
    """Turn (B, C, H, W) into (B, P, C)."""
    return image.flatten(2).mT


@pytest.fixture
def agrees(record_property):
    """Return a check of the largest deviation, which is printed (`pytest -s`) and kept (`pytest --junitxml`)."""

    def check(what: str, found: torch.Tensor, expected: torch.Tensor) -> None:
        assert found.shape == expected.shape
        deviation = (found - expected).abs().max().item()
        record_property(what, deviation)
        print(f"{what}: largest deviation {deviation:.1e}")
        assert deviation <= TOLERANCE, f"{what}: largest deviation {deviation:.1e}"

    return check


@torch.no_grad()
def test_stage_1_predicts_and_costs_what_the_released_code_does(reference, pretrainer, agrees):
    stored = reference("pretrain")
    load_released(pretrainer, _weights(stored))
    clean, time = [_rows(stored["x"]), _rows(stored["x_lidar"])], stored["t"]
    noise = [_rows(stored["noise"]), _rows(stored["noise_lidar"])]
    noised = [pretrainer.schedule(x, time, eps) for x, eps in zip(clean, noise, strict=True)]
    agrees("noised HSI", noised[0], _rows(stored["x_t"]))
    agrees("noised LiDAR", noised[1], _rows(stored["x_lidar_t"]))

    # The order that puts tokens back is a draw of the same order.
    draws = [stored["ids_restore"].float(), stored["ids_restore_LIDAR"].float()]
    options = SimpleNamespace(mask_ratio=0.7, mask_ratios={}, reference_quirks=["lidar_mask_order"])
    kept = kept_of(["hsi", "aux"], options, draws)
    for seen, mask in zip(kept, ("mask", "mask_LIDAR"), strict=True):
        assert torch.equal(seen.hidden, stored[mask].bool())
    predicted = pretrainer(noised, time, kept)
    agrees("prediction of HSI", predicted[0], _rows(stored["pred"]))
    agrees("prediction of LiDAR", predicted[1], _rows(stored["pred_lidar"]))

    losses = pretrainer.losses(clean, time, noise, kept)
    terms = {
        "loss_masked": losses.hidden[0].mean(),
        "loss_masked_lidar": losses.hidden[1].mean(),
        "loss_visible": losses.visible[0].mean(),
        "loss_visible_lidar": losses.visible[1].mean(),
    }
    for name, value in terms.items():
        agrees(name, value, stored[name])
    total = 0.1 * (terms["loss_masked"] + terms["loss_masked_lidar"])
    agrees("total loss", total + terms["loss_visible"] + terms["loss_visible_lidar"], stored["total_loss"])


def test_the_noise_schedule_is_the_released_one(reference, pretrainer, agrees):
    stored = reference("pretrain")
    agrees("signal", pretrainer.schedule.signal.double(), stored["sqrt_alphas_cumprod"])
    agrees("noise", pretrainer.schedule.noise.double(), stored["sqrt_one_minus_alphas_cumprod"])


def test_positions_start_as_the_released_ones(reference, pretrainer, agrees):
    weights = _weights(reference("pretrain"))
    for modality, suffix in enumerate(("", "_LIDAR")):
        agrees("positions", pretrainer.encoder.modalities[modality].positions(), weights[f"pos_embed{suffix}"][0])
        found = pretrainer.decoders[modality].positions()
        agrees("decoder's positions", found, weights[f"decoder_pos_embed{suffix}"][0])


@torch.no_grad()
def test_stage_2_embeds_and_scores_what_the_released_code_does(reference, small, agrees):
    stored = reference("finetune")
    tokens = tokenize(
        ["a multimodal fusion patch of a " + name for name in ("Healthy grass.", "Park lot 1.", "Running track.")]
    )
    length = tokens.ids.shape[1]
    assert torch.equal(tokens.vocabulary[tokens.ids], stored["text"].long()[:, :length])
    assert not stored["text"][:, length:].any()

    weights = _weights(stored)
    weights["token_embedding.weight"] = torch.zeros(49408, 12)
    weights["token_embedding.weight"][stored["token_ids"].long()] = stored["token_rows"]
    model = _classifier(small, len(tokens.vocabulary))
    load_released(model, weights, tokens.vocabulary)
    images = model.images([_rows(stored["x"]), _rows(stored["x_lidar"])], stored["t"])
    texts = model.texts(tokens.ids)
    logits = model.logits(images, texts)
    agrees("image features", images, stored["image_features"])
    agrees("text features", texts, stored["text_features"])
    agrees("logits", logits, stored["logits_per_image"])
    agrees("contrastive loss", instance_loss(logits[:3], torch.arange(3)), stored["contrastive_loss"])
    # With one sample of each class the suite's own loss differs from it by the factor of a mean alone.
    agrees("the suite's loss", 2 * contrastive_loss(logits[:3], torch.arange(3)), stored["contrastive_loss"])

"""Sizes of the networks: as many weights as the authors' own, on the three scenes they are reported on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from baselines._networks.coupled_cnn import CoupledCNN, class_accuracy
from baselines._networks.endnet import EndNet
from baselines._networks.exvit import ExViT
from baselines._networks.layers import draw_from
from baselines._networks.mft import MFT, Tokenizer
from baselines._networks.s2enet import Enhancement
from baselines._networks.spectralformer import SpectralFormer
from baselines._networks.ss_mae import MaskedAutoencoder, kept_and_masked
from baselines._networks.ss_mae_pretraining import pretrain
from baselines._networks.starts import start_as_keras
from baselines._supervised import SupervisedNetwork
from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method
from diffclip.scene.scene import Imagery, Scene, SceneInfo
from diffclip.seeds import together

SCENES = {"Houston 2013": (144, 1, 15), "Trento": (63, 1, 6), "MUUFL": (64, 2, 11)}  # B, C, K
# Counted in the authors' own networks, or in the formula of their layers, at the authors' window.
PUBLISHED: dict[str, tuple[int, tuple[int, int, int]]] = {
    "cnn_1d": (1, (65_955, 56_866, 57_391)),
    "cnn_2d": (11, (316_765, 214_606, 216_361)),
    "cnn_3d": (5, (40_610, 32_516, 34_096)),
    "hybridsn": (25, (5_122_047, 5_120_886, 5_121_531)),
    "endnet": (1, (92_628, 89_370, 90_421)),
    "coupled_cnn": (11, (104_781, 101_298, 103_521)),
    "s2enet": (7, (274_112 - 3_312, 180_503 - 3_312, 181_892 - 3_312)),  # without what its forward never uses
    "mft": (11, (321_903, 272_358, 258_219)),
    "exvit": (13, (239_914, 237_223, 237_600)),
    "spectralformer": (7, (235_504, 127_918, 129_084)),
    "fusatnet": (11, (38_083_599, 37_421_190, 37_438_987)),
    # Without the head inside its encoder, which its forward never uses.
    "ss_mae": (7, tuple(n - 131_328 - 257 * k for n, k in ((4_906_228, 15), (4_865_287, 6), (4_868_648, 11)))),
}


def built(name: str, window: int, bands: int, channels: int, classes: int) -> nn.Module:
    """Return a method's network with the default options, without memory for its weights."""
    method = make_method(name)
    assert isinstance(method, SupervisedNetwork)
    stacks = {"hybridsn": (30,), "coupled_cnn": (20, channels), "endnet": (bands, 21 * channels)}
    stacks["ss_mae"] = (bands, channels, 30)
    with torch.device("meta"):
        return method.network(stacks.get(name, (bands, channels)), classes, window)


def sizes(name: str) -> tuple[int, ...]:
    """Return the number of weights on each scene, at the authors' window."""
    return tuple(count(built(name, PUBLISHED[name][0], *scene)) for scene in SCENES.values())


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


@pytest.mark.parametrize("name", PUBLISHED)
def test_has_as_many_weights_as_the_papers_network(name):
    assert sizes(name) == PUBLISHED[name][1]


def documented(section: str) -> list[str]:
    """Return the rows of a table in docs/rivals.md."""
    text = (Path(__file__).parents[2] / "docs" / "rivals.md").read_text()
    table = text.partition(f"test_networks.py: {section} -->")[2].partition("<!-- end -->")[0]
    return [line for line in table.splitlines() if line.startswith("| `")]


def test_the_documented_sizes_are_the_networks_own():
    rows = {name: [f"{PUBLISHED[name][0]}", *(f"{n:,}" for n in sizes(name))] for name in PUBLISHED}
    assert documented("sizes") == [f"| `{name}` | {' | '.join(row)} |" for name, row in rows.items()]


def test_the_documented_settings_are_the_defaults():
    rows = []
    for name in PUBLISHED:
        method = make_method(name)
        assert isinstance(method, SupervisedNetwork)
        options = method.options
        seen = "pixel" if options.window == 1 else "window"
        modalities = "both" if len(method_inputs(method)) > 1 else "cube"
        optimizer = {"sgd": "descent", "adam": "Adam", "adamw": "AdamW", "nadam": "NAdam"}[method.optimizer]
        rates = [f"{value:g}" for value in (options.lr, options.weight_decay)]
        lengths = [f"{value:,}" for value in (options.batch, options.epochs, options.least_steps)]
        row = [f"`{name}`", f"{modalities}, {seen}", method.scaling, optimizer, *rates, *lengths, options.turns]
        rows.append(f"| {' | '.join(row)} |")
    assert documented("settings") == rows


def method_inputs(method: SupervisedNetwork) -> tuple[object, ...]:
    """Return the raster stacks that a method makes of a small scene."""
    cube = np.random.default_rng(0).normal(size=(4, 5, 16)).astype(np.float32)
    return method.rasters(Imagery("small", cube, cube[:, :, :1], SceneInfo("Small", simulated=True)))


def test_hybridsn_at_eleven_pixels_has_its_known_size():
    assert count(built("hybridsn", 11, 144, 1, 15)) == 534_527


def test_ss_mae_has_the_papers_size_while_it_is_pretrained():
    published = {"Houston 2013": 7_729_166, "Trento": 7_628_807, "MUUFL": 7_631_127}
    for scene, (bands, channels, _) in SCENES.items():
        both = bands + channels
        unused = 258 * both + 14_178  # of the decoder: embeddings, class tokens and norms that its forward never uses
        with torch.device("meta"):
            assert count(MaskedAutoencoder(both, 7)) == published[scene] - unused


def test_the_2d_cnn_pays_for_the_squared_weights_of_its_hidden_layer_and_each_seed_for_its_own():
    free, method = make_method("cnn_2d", options={"penalty": 0.0}), make_method("cnn_2d")
    assert isinstance(method, SupervisedNetwork)
    assert isinstance(free, SupervisedNetwork)
    networks = [method.network((4,), 2, 11) for _ in range(2)]
    inputs, targets = torch.rand(2, 3, 4, 11, 11), torch.tensor([[0, 1, 1], [1, 0, 1]])
    expected = []
    for network, x, y in zip(networks, inputs, targets, strict=True):
        hidden = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
        expected.append(free.loss(network, (x,), y) + 0.02 * (hidden.weight**2).sum())
        torch.testing.assert_close(method.loss(network, (x,), y), expected[-1])
    torch.testing.assert_close(method.loss(together(networks), (inputs,), targets), torch.stack(expected).mean())


def test_coupled_cnns_classifiers_share_the_belief_about_a_class(tiny_scene, draw_task):
    method = make_method("coupled_cnn", options={"epochs": 0, "least_steps": 20, "width": 0.1})
    method.train(draw_task(tiny_scene(), window=9))
    pixels, targets = (torch.from_numpy(x) for x in (method.task.train_pixels, method.task.train_targets))
    with torch.inference_mode():
        known = class_accuracy(method.trained.logits(*method.windows(pixels)), targets)
    assert known.any()
    torch.testing.assert_close(method.trained.trust, known / known.sum(dim=0).clamp(min=1e-5), rtol=1e-4, atol=0)


def test_ss_mae_sees_components_of_the_scaled_cube_that_are_not_whitened(tiny_scene):
    method = make_method("ss_mae", options={"components": 13})
    assert isinstance(method, SupervisedNetwork)
    hsi, _, components = method.rasters(tiny_scene().imagery)
    assert (hsi.min(), hsi.max()) == (0, 1)
    deviations = components.std(axis=(0, 1))
    assert (np.diff(deviations) <= 0).all()
    assert deviations[0] < hsi.std() * np.sqrt(hsi.shape[2])
    assert deviations[-1] < deviations[0] / 2


def test_networks_from_keras_start_with_its_weights_and_that_of_mft_with_small_ones():
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Linear(8, 5, bias=False))
    start_as_keras(network)
    for layer, ways in ((network[0], 9 * 4 + 9 * 8), (network[2], 8 + 5)):
        limit = (6 / ways) ** 0.5
        assert 0.8 * limit < layer.weight.abs().max() <= limit
    assert not network[0].bias.any()
    # A (1, 64, 64) tensor counts as 64 channels of 64 places: deviations of sqrt(2 / (64 * 64 + 64)) in the notebook.
    assert Tokenizer(64, 4).value.weight.std().item() == pytest.approx(0.0219, rel=0.1)


def test_coupled_cnn_has_two_convolutions_of_its_own_and_two_that_both_modalities_share():
    network = CoupledCNN(4, 1, 3, window=9, width=0.1).train()
    draw_from(network, torch.Generator())
    network.logits(torch.rand(4, 4, 9, 9), torch.rand(4, 1, 9, 9))[:, 0].sum().backward()  # the cube's classifier alone
    assert any(weight.grad.any() for weight in network.shared.parameters())
    assert not any(weight.grad.any() for weight in network.aux.parameters())


def test_coupled_cnn_believes_each_classifier_as_far_as_it_knows_the_class():
    targets = torch.tensor([0, 0, 1])
    logits = torch.tensor([[[1.0, 0], [1, 0], [0, 1]], [[0, 1.0], [1, 0], [0, 1]], [[0, 1.0], [1, 0], [0, 1]]])
    expected = torch.tensor([[0.5, 1.0], [1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(class_accuracy(logits, targets), expected)
    network = CoupledCNN(4, 1, 2, window=9, width=0.1).eval()
    network.trust.zero_()
    assert (network(torch.rand(2, 4, 9, 9), torch.rand(2, 1, 9, 9)) == 0).all()


def test_endnet_pays_for_what_it_cannot_rebuild():
    network = EndNet(8, 6, 2).eval()
    hsi, aux, targets = torch.rand(4, 8, 1, 1), torch.rand(4, 6, 1, 1), torch.tensor([0, 1, 0, 1])
    rebuilt = network.rebuilt(network.code(hsi, aux))
    assert [tuple(x.shape) for x in rebuilt] == [(4, 8), (4, 6)]
    loss = make_method("endnet").loss(network, (hsi, aux), targets)
    expected = nn.functional.cross_entropy(network(hsi, aux), targets)
    for found, seen in zip(rebuilt, (hsi, aux), strict=True):
        expected = expected + ((found - seen.flatten(1)) ** 2).mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("spatial", [True, False])
def test_s2enet_scales_by_the_weighted_affinity_of_all_pairs(spatial):
    x, y = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    layer = Enhancement(4, 4, (4, 4), 9 if spatial else 4, spatial=spatial).eval()
    own, other = layer.own(x).flatten(2), layer.other(y).flatten(2)
    pairs = torch.einsum("ncp,ncq->npq" if spatial else "ncp,ndp->ncd", own, other)
    scale = pairs @ layer.weights.weight[0]
    expected = x * (scale.view(2, 1, 3, 3) if spatial else scale.view(2, 4, 1, 1))
    torch.testing.assert_close(layer(x, y), expected)


def test_mft_classifies_by_a_token_of_the_rasters_that_asks_those_of_the_cube():
    network = MFT(12, 2, 3, width=16).eval()
    hsi, aux = torch.rand(2, 12, 5, 5), torch.rand(2, 2, 5, 5)
    before = network.tokens(hsi, aux)
    assert before.shape == (2, 5, 16)
    moved = (network.tokens(hsi, aux + torch.rand(2, 2, 5, 5)) - before).abs().amax(dim=(0, 2)) > 0
    assert moved.tolist() == [True, False, False, False, False]
    assert not torch.equal(network(hsi, aux), network(hsi + torch.rand(2, 12, 5, 5), aux))


def test_exvit_weighs_tokens_of_both_modalities():
    network = ExViT(4, 1, 3, window=5, width=8, own_depth=1, joint_depth=1).eval()
    hsi, aux = torch.rand(2, 4, 5, 5), torch.rand(2, 1, 5, 5)
    seen: list[torch.Tensor] = []
    network.weigh.register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert network(hsi, aux).shape == (2, 3)
    assert seen[0].shape == (2, 2 * 25, 1)


def test_spectralformer_shows_every_band_with_its_neighbours_round_the_ends():
    network = SpectralFormer(6, 2, window=1, neighbours=3, width=8)
    bands = torch.arange(6.0).view(1, 6, 1, 1)
    expected = [[5, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 0]]
    assert network.neighbourhoods(bands)[0].tolist() == expected


def test_spectralformer_mixes_what_went_in_two_blocks_ago_from_the_third_block_on():
    network = SpectralFormer(6, 2, window=1, width=8, depth=5).eval()
    with torch.no_grad():
        for mixer in network.mixers:  # take the tokens of two blocks ago alone
            mixer.weight.zero_()[:, 7:].copy_(torch.eye(7))
            mixer.bias.zero_()
        hsi = torch.rand(3, 6, 1, 1)
        found = network(hsi)
        network.blocks[2] = network.blocks[3] = nn.Identity()
        assert torch.equal(network(hsi), found), "the fifth block sees what went into the third"
        network.blocks[1] = nn.Identity()
        assert not torch.equal(network(hsi), found)


@pytest.mark.parametrize(("tokens", "kept"), [(49, 34), (145, 101)])
def test_ss_mae_masks_three_tenths_of_the_tokens(tokens, kept):
    seen, masked = kept_and_masked(torch.randperm(tokens), 0.3)
    assert (len(seen), len(masked)) == (kept, tokens - kept)
    assert sorted([*seen.tolist(), *masked.tolist()]) == list(range(tokens))


@pytest.mark.parametrize("stream", ["pixels", "bands"])
def test_ss_mae_pays_for_masked_tokens_alone_and_sees_none_of_them(stream):
    model, x = MaskedAutoencoder(6, 3, width=16, depth=1, heads=2).eval(), torch.rand(2, 6, 3, 3)
    order = torch.randperm(9 if stream == "pixels" else 6)
    kept, masked = kept_and_masked(order, 0.5)
    hidden = x.flatten(2).clone()
    index = (slice(None), slice(None), masked) if stream == "pixels" else (slice(None), masked)
    hidden[index] = 0.0
    assert torch.equal(model.encoder(x, stream, kept), model.encoder(hidden.view_as(x), stream, kept))
    rebuilt = model.decoders[stream](model.encoder(x, stream, kept), kept)
    wanted = x.flatten(2).mT if stream == "pixels" else x.flatten(2)
    expected = (rebuilt - wanted)[:, masked].square().mean() * len(masked) / len(order)
    torch.testing.assert_close(model.error(x, stream, order, 0.5), expected)


def test_ss_mae_starts_from_its_checkpoint_and_from_nothing_when_told_so(tiny_scene, draw_task, tmp_path):
    sizes = {"width": 8, "depth": 1, "heads": 2, "components": 13, "epochs": 0, "least_steps": 0}
    method = make_method("ss_mae", options={**sizes, "pretrain_steps": 2, "pretrain_batch": 4})
    wanted = method.pretraining(5, None)
    assert wanted is not None
    assert method.transductive
    path = tmp_path / "checkpoint"
    pretrain(tiny_scene().imagery, wanted.settings, seed=0, device="cpu", path=path)
    method.train(draw_task(tiny_scene(), window=5, pretrained=path))
    for name, weight in load_file(path).items():
        assert torch.equal(method.trained.encoder.state_dict()[name], weight)
    alone = make_method("ss_mae", "without-pretraining", sizes)
    assert alone.pretraining(5, None) is None
    assert not alone.transductive
    alone.train(draw_task(tiny_scene(), window=5))
    with pytest.raises(UserError, match="found none, expected ss_mae's checkpoint"):
        method.train(draw_task(tiny_scene(), window=5))


@pytest.mark.parametrize(("name", "window"), [("hybridsn", 7), ("coupled_cnn", 7), ("fusatnet", 9), ("cnn_2d", 9)])
def test_windows_too_small_for_the_layers_are_refused_before_anything_runs(name, window):
    with pytest.raises(UserError, match=f"{name}: window: found {window}, expected an odd number from {window + 2} on"):
        make_method(name).check(window)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cnn_2d", {"batch": 1}),
        ("cnn_2d", {"least_steps": -1}),
        ("endnet", {"window": 3}),
        ("mft", {"width": 24}),
        ("exvit", {"width": 6}),
        ("spectralformer", {"neighbours": 2}),
        ("ss_mae", {"width": 20, "heads": 8}),
        ("ss_mae", {"mask_ratio": 1.0}),
    ],
)
def test_options_that_cannot_be_trained_are_refused(name, wrong):
    with pytest.raises(UserError, match=f"method {name}"):
        make_method(name, options=wrong)


def test_too_few_bands_or_components_are_refused(tiny_scene, draw_task):
    with pytest.raises(UserError, match="mft: found 8 bands, expected 9 or more"):
        make_method("mft").train(draw_task(_with_bands(tiny_scene(), 8), window=5))
    with pytest.raises(UserError, match="hybridsn: components: found 30 of 12 bands, expected 13 or more"):
        make_method("hybridsn").train(draw_task(_with_bands(tiny_scene(), 12), window=9))


def _with_bands(scene: Scene, bands: int) -> Scene:
    return dataclasses.replace(scene, hsi=scene.hsi[:, :, :bands])

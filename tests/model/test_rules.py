"""The three rules that let several seeds be trained as one model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from diffclip.language.tower import TextTower
from diffclip.model.classifier import DiffCLIP
from diffclip.model.masking import Kept, kept_tokens
from diffclip.model.pretrainer import MaskedDiffusion

IDS = torch.tensor([[0, 3, 5, 0], [0, 4, 2, 5]])


@pytest.fixture
def pretrainer(small) -> MaskedDiffusion:
    return MaskedDiffusion([6, 2], small).double()


@pytest.fixture
def classifier(small) -> DiffCLIP:
    return DiffCLIP([6, 2], small, TextTower(6, 8, 2, 2, embedding=10), embedding=10, temperature=0.07).double()


@pytest.fixture
def windows() -> list[torch.Tensor]:
    return [torch.randn(2, 3, 25, channels, dtype=torch.float64) for channels in (6, 2)]


@pytest.fixture
def time() -> torch.Tensor:
    return torch.randint(1000, (2, 3))


def _flat(values: list[torch.Tensor]) -> list[torch.Tensor]:
    return [x.flatten(0, 1) for x in values]


@pytest.fixture
def separate(small) -> MaskedDiffusion:
    return MaskedDiffusion([6, 2], replace(small, shared_encoder=False)).double()


@pytest.mark.parametrize("name", ["pretrainer", "separate", "classifier"])
def test_parameters_live_in_leaves_only(name, request):
    model: nn.Module = request.getfixturevalue(name)
    holders = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    assert len(holders) > 20
    assert [type(m).__name__ for m in holders if any(True for _ in m.children())] == []


@pytest.mark.parametrize("name", ["pretrainer", "separate"])
def test_the_pretrainer_names_trailing_axes_only(name, request, windows, time):
    pretrainer: MaskedDiffusion = request.getfixturevalue(name).eval()
    kept = [kept_tokens(torch.rand(2, 3, 25), 0.7, restore_order=True) for _ in windows]
    flat_kept = [Kept(*(x.flatten(0, 1) for x in (seen.index, seen.hidden, seen.shown))) for seen in kept]
    found = pretrainer(windows, time, kept)
    expected = pretrainer(_flat(windows), time.flatten(), flat_kept)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.flatten(0, 1), theirs)
    noise = [torch.randn_like(x) for x in windows]
    losses = pretrainer.losses(windows, time, noise, kept)
    flat = pretrainer.losses(_flat(windows), time.flatten(), _flat(noise), flat_kept)
    for ours, theirs in zip([*losses.hidden, *losses.visible], [*flat.hidden, *flat.visible], strict=True):
        torch.testing.assert_close(ours.flatten(), theirs)


@pytest.mark.parametrize("token_size", [1, 5])
def test_the_classifier_names_trailing_axes_only(small, windows, time, token_size):
    shape, tower = replace(small, token_size=token_size), TextTower(6, 8, 2, 2, embedding=10)
    classifier = DiffCLIP([6, 2], shape, tower, embedding=10, temperature=0.07).double().eval()
    found = classifier.images(windows, time)
    torch.testing.assert_close(found.flatten(0, 1), classifier.images(_flat(windows), time.flatten()))
    texts = classifier.texts(IDS)
    logits = torch.stack([classifier.logits(images, texts) for images in found])
    torch.testing.assert_close(classifier.logits(found, texts.expand(2, 2, 10)), logits)


def test_the_pretrainer_draws_nothing_itself(pretrainer, windows, time):
    noise, kept = [torch.randn_like(x) for x in windows], [kept_tokens(torch.rand(2, 3, 25), 0.7) for _ in windows]
    pretrainer.train()
    before = torch.random.get_rng_state()
    first, second = (pretrainer.losses(windows, time, noise, kept) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    for a, b in zip([*first.hidden, *first.visible], [*second.hidden, *second.visible], strict=True):
        assert torch.equal(a, b)


def test_the_classifier_draws_nothing_itself(classifier, windows, time):
    classifier.train()
    before = torch.random.get_rng_state()
    flat = _flat(windows)
    first, second = (classifier.logits(classifier.images(flat, time.flatten()), classifier.texts(IDS)) for _ in "12")
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, second)

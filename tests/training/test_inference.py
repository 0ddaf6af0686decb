"""A pixel's scores depend on the pixel alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffclip.model.classifier import DiffCLIP
from diffclip.training import inference
from diffclip.training.finetuning import finetune
from diffclip.training.inference import scores


@pytest.fixture(scope="module")
def trained(make_method, draw_task):
    return finetune(draw_task(), make_method(pretrain="none", epochs=10, lr=3e-3).options)


@pytest.fixture
def ask(trained):
    model, texts, windows = trained
    return lambda pixels: scores(model, texts, windows, np.asarray(pixels), "cpu")


@pytest.mark.parametrize("at_once", [1, 7, 100, 256])
def test_scores_do_not_depend_on_the_size_of_a_batch(ask, monkeypatch, at_once):
    expected = ask(np.arange(150))
    monkeypatch.setitem(inference._AT_ONCE, "cpu", at_once)
    np.testing.assert_allclose(ask(np.arange(150)), expected, rtol=0, atol=1e-5)


def test_scores_do_not_depend_on_order_or_on_company(ask):
    expected = ask(np.arange(256))
    order = np.random.default_rng(0).permutation(256)
    np.testing.assert_allclose(ask(order), expected[order], rtol=0, atol=1e-5)
    np.testing.assert_allclose(ask([17, 17, 3]), expected[[17, 17, 3]], rtol=0, atol=1e-5)


def test_scores_are_scaled_cosines_of_the_clean_window_at_time_0(ask, trained):
    model, texts, windows = trained
    with torch.no_grad():
        image = model.images(windows(torch.tensor([40])), torch.tensor([0]))
        expected = model.scale() * torch.cosine_similarity(image, texts)
    np.testing.assert_allclose(ask([40])[0], expected.numpy(), rtol=1e-5, atol=1e-5)
    assert ask([40]).dtype == np.float32


def test_time_is_0_for_every_window(ask, monkeypatch):
    times = []
    images = DiffCLIP.images
    monkeypatch.setattr(
        DiffCLIP, "images", lambda self, x, time, *rest: times.append(time) or images(self, x, time, *rest)
    )
    ask(np.arange(256).repeat(2))
    assert sum(len(time) for time in times) == 512
    assert not torch.cat(times).any()


def test_asking_changes_nothing_in_the_model(ask, trained, global_draws):
    model = trained[0]
    before, draws = {name: value.clone() for name, value in model.state_dict().items()}, global_draws()
    first = ask(np.arange(64))
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert global_draws() == draws
    np.testing.assert_array_equal(ask(np.arange(64)), first)


def test_no_pixels_have_no_scores(ask):
    assert ask(np.array([], dtype=np.int64)).shape == (0, 3)

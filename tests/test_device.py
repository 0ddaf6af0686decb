"""A missing GPU is an error, never a silent fall back."""

from __future__ import annotations

import pytest
import torch

from diffclip.device import choose_device, device_name
from diffclip.errors import UserError


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [("cpu", True, "cpu"), ("auto", True, "cuda"), ("auto", False, "cpu"), ("cuda", True, "cuda")],
)
def test_the_device_is_the_wanted_one(monkeypatch, wanted, there, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(wanted) == chosen


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="found no CUDA device"):
        choose_device("cuda")


def test_another_word_is_an_error():
    with pytest.raises(UserError, match="found 'gpu', expected auto, cpu or cuda"):
        choose_device("gpu")


def test_the_processor_has_a_name():
    assert device_name("cpu")

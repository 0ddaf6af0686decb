"""Sizes small enough to check every number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from diffclip.model.encoder import Architecture


@pytest.fixture(autouse=True)
def fixed_draws() -> Iterator[None]:
    """Draw the same numbers in every run of a test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def small() -> Architecture:
    """Windows of 5 x 5 pixels and 25 tokens."""
    return Architecture(
        window=5, stem=8, width=16, depth=2, heads=2, decoder_width=12, decoder_depth=1, decoder_heads=2
    )

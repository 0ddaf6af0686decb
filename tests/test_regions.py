"""Parts are compiled where that is asked for, and a compiler that fails ends it with a warning, not the training."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from unittest.mock import MagicMock

import pytest
import torch

from diffclip import regions
from diffclip.layers import Block
from diffclip.regions import compiled_regions, region
from diffclip.training import updates

NO_COMPILER = "parts of the network could not be compiled, training goes on without: no C compiler"


@pytest.fixture
def compiler(monkeypatch):
    """Put a compiler in the place of torch's that notes what it is asked for; return its notes."""
    asked = []

    def compiled(forward):
        asked.append(forward.__name__)
        return forward

    monkeypatch.setattr(regions, "_compiled", compiled)
    return asked


@pytest.fixture(autouse=True)
def switch(monkeypatch):
    """Forget what failed in other tests, and in this one."""
    monkeypatch.setattr(regions._Switch, "failed", False)


@region
def doubled(x):
    if x is None:
        raise ValueError("no number")
    return 2 * x


def test_a_region_is_compiled_within_the_context_alone(compiler):
    assert doubled(1) == 2
    with compiled_regions(False):
        assert doubled(2) == 4
    assert compiler == []
    with compiled_regions(True):
        assert doubled(3) == 6
    assert doubled(4) == 8
    assert compiler == ["doubled"]


def test_a_failing_compiler_is_said_and_asked_once(monkeypatch, caplog):
    def broken(forward):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(regions, "_compiled", broken)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with compiled_regions(True):
                assert [doubled(1), doubled(2)] == [2, 4]
    assert [record.getMessage() for record in caplog.records] == [NO_COMPILER]


def test_an_error_of_the_network_itself_stays_one(compiler):
    with compiled_regions(True), pytest.raises(ValueError, match="no number"):
        doubled(None)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("too many seeds"), ValueError("no number")], ids=["full", "own"]
)
def test_what_is_no_fault_of_the_compiler_ends_nothing(monkeypatch, caplog, error):
    @region
    def failing():
        raise error

    monkeypatch.setattr(regions, "_compiled", lambda forward: forward)
    with compiled_regions(True), pytest.raises(type(error)):
        failing()
    assert not regions._Switch.failed
    assert caplog.records == []


def test_a_compiler_that_fails_on_the_way_back_is_given_up_too(monkeypatch, caplog):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            raise RuntimeError("no C compiler")

    monkeypatch.setattr(regions, "_compiled", lambda forward: Broken.apply)
    # The streams of a GPU, which updates that come before a graph are made on.
    monkeypatch.setattr(updates.torch.cuda, "Stream", MagicMock)
    monkeypatch.setattr(updates.torch.cuda, "current_stream", MagicMock)
    monkeypatch.setattr(updates.torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(updates.Updates, "_captured", lambda *_: None)
    weight = torch.nn.Parameter(torch.ones(1))
    optimiser = torch.optim.SGD([weight], lr=0.25)
    update = updates.Updates(lambda batch: (doubled(weight).sum(), weight), optimiser, "cuda", 1000)
    with caplog.at_level(logging.WARNING):
        for left in (0.5, 0.0, -0.5, -1.0):
            update({"x": torch.zeros(1)})
            assert weight.item() == left
    assert [record.getMessage() for record in caplog.records] == [
        NO_COMPILER,
        "this update is made again: batch norms see its batch twice, another run may differ",
    ]


def test_a_compiled_block_gives_what_it_gives_otherwise(monkeypatch):
    # Torch's own compiler up to the kernels, which need a C compiler: it follows the block without a break.
    monkeypatch.setattr(
        regions, "_compiled", lambda forward: torch.compile(forward, dynamic=False, fullgraph=True, backend="aot_eager")
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block, x = Block(16, 2, 4.0), torch.randn(3, 5, 16)
    expected = block(x)
    with compiled_regions(True):
        torch.testing.assert_close(block(x), expected)
        read = torch.zeros(3, 1, dtype=torch.long)
        torch.testing.assert_close(block(x, read=read), expected[:, :1])

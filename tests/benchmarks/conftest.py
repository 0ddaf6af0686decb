"""Measurements of speed: left out of ordinary test runs, made by `pytest tests/benchmarks --benchmark-only`.

Every measurement alternates with a plain baseline in the same run, so that other work on the machine slows both. On a
CPU, processor time is counted instead of time on the clock. `--benchmark-json FILE` keeps the numbers, which
`python tests/benchmarks/table.py FILE` writes into docs/performance.md.

DIFFCLIP_BENCHMARKS=tiny shrinks everything to see whether it runs.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from diffclip.device import choose_device, device_name
from diffclip.scene.scene import Scene, SceneInfo

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the measurements unless they are asked for."""
    if not config.getoption("benchmark_only", default=False):
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a measurement: pytest tests/benchmarks --benchmark-only"))


class Sizes(NamedTuple):
    """How large the measured things are; the defaults are the paper's settings."""

    window: int = 11
    bands: int = 144
    batch: int = 128
    classes: int = 15
    shots: int = 40
    pixels: int = 1000
    side: int = 300
    rounds: int = 2


TINY = Sizes(window=5, bands=12, batch=8, classes=3, shots=3, pixels=20, side=30, rounds=1)


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    """The paper's sizes, or tiny ones."""
    return TINY if os.environ.get("DIFFCLIP_BENCHMARKS") == "tiny" else Sizes()


@pytest.fixture(scope="session")
def device() -> str:
    """The GPU where there is one."""
    return choose_device("auto")


@pytest.fixture(scope="session")
def scene_with() -> Callable[[int, int, int], Scene]:
    """Return `make(side, bands, classes)`: a square scene of noise, labelled in stripes."""

    def make(side: int, bands: int, classes: int) -> Scene:
        generator = np.random.default_rng(0)
        hsi = generator.standard_normal((side, side, bands), np.float32)
        aux = generator.standard_normal((side, side, 1), np.float32)
        labels = (np.arange(side) * classes // side + 1).astype(np.int16)[None, :].repeat(side, 0)
        names = tuple(f"kind {k} of land" for k in range(1, classes + 1))
        return Scene("noise", hsi, aux, labels, names, SceneInfo("Noise", simulated=True))

    return make


@pytest.fixture(scope="session")
def scene(scene_with: Callable[..., Scene], sizes: Sizes) -> Scene:
    """The scene of most measurements."""
    return scene_with(sizes.side, sizes.bands, sizes.classes)


def seconds() -> float:
    """Processor seconds of this process and of those it has started and seen end."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def clock() -> float:
    """Seconds on the clock once the GPU is done."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


@pytest.fixture
def against(benchmark: Any, device: str, sizes: Sizes) -> Callable[..., None]:
    """Return `measure(quick, plain, …)`: both in turn, their results and arithmetic noted.

    Args of `measure`:
        quick: what is measured.
        plain: the baseline, or None where there is none.
        work: how many units of work one call does, and their name: `{"pixels": 1000}`.
        rounds: how often.
        computes: in this process, with torch.
        facts: noted beside the numbers.
    """

    def measure(
        quick: Callable[[], Any],
        plain: Callable[[], Any] | None,
        work: dict[str, float] | None = None,
        rounds: int | None = None,
        *,
        computes: bool = True,
        **facts: Any,
    ) -> None:
        timer = clock if device == "cuda" else seconds
        beside: list[float] = []

        def setup() -> None:
            if plain is not None:
                start = timer()
                plain()
                beside.append(timer() - start)

        # Also makes what is made once: optimiser states, and by further calls a graph, in which nothing can be counted.
        start = timer()
        gflop = _gflop(quick) if computes else 0.0
        for _ in range(4 if device == "cuda" and computes else 0):
            quick()
        facts["until_ready"] = timer() - start
        benchmark._timer = timer
        benchmark.pedantic(quick, setup=setup, rounds=rounds or sizes.rounds)
        benchmark.extra_info |= {
            "plain": beside,
            "work": work or {},
            "gflop": gflop,
            "tiny": sizes == TINY,
        }
        benchmark.extra_info |= {"device": device, "device_name": device_name(device), **facts}
        benchmark.extra_info["threads"] = _threads()

    return measure


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _gflop(work: Callable[[], Any]) -> float:
    """Return how many billion floating-point operations matrix products and attention take."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # Without the stance a part that is to be compiled is given up for good, for it is first met while operations count.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9

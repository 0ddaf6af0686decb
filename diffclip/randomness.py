"""All randomness of a run comes from its seed, through named children; no global generator is touched."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def child(seed: int, *names: str | int) -> np.random.SeedSequence:
    """Return the child of `seed` that belongs to `names`; other names give independent streams."""
    return np.random.SeedSequence(entropy=seed, spawn_key=tuple(zlib.crc32(str(name).encode()) for name in names))


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's generator for `names` below `seed`."""
    return np.random.default_rng(child(seed, *names))


def torch_generator(seed: int, *names: str | int, device: str = "cpu") -> torch.Generator:
    """Return torch's generator on `device` for `names` below `seed`."""
    import torch

    state = int(child(seed, *names).generate_state(1, np.uint64)[0])
    return torch.Generator(device=device).manual_seed(state >> 1)


@contextmanager
def seeded_torch(seed: int, *names: str | int, device: str = "cpu") -> Iterator[None]:
    """Let code that draws from torch's global generators (initial weights, dropout) follow `names` below `seed`.

    The generators of the CPU, and of the GPU when `device` is "cuda", are put back afterwards.
    """
    import torch

    state = torch_generator(seed, *names).initial_seed()
    on_gpu = device == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
        torch.default_generator.manual_seed(state)
        if on_gpu:
            torch.cuda.manual_seed(state)
        yield

"""Which device a run uses; a missing GPU is an error, never a silent fall back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffclip.errors import UserError


def choose_device(wanted: str) -> str:
    """Return "cpu" or "cuda" for `wanted` = "auto", "cpu" or "cuda".

    Raises:
        UserError: "cuda" is wanted and there is none, or another word.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: found {wanted!r}, expected auto, cpu or cuda")
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UserError("device: found no CUDA device, expected one; use --device cpu or auto")
    return "cpu"


# Measured (docs/performance.md): on a CPU batching gains nothing; on a GPU ten seeds, the most tried, cost least each.
_SEEDS_AT_ONCE = {"cpu": 1, "cuda": 10}


def seeds_at_once(wanted: int | None, device: str) -> int:
    """Return how many seeds of a cell are trained as one model: `wanted`, or by default what suits the device."""
    return _SEEDS_AT_ONCE[device] if wanted is None else wanted


def has_nvidia_driver() -> bool:
    """Return whether an NVIDIA driver is loaded; a cheap guess at a GPU that needs no torch, for planning only."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def device_name(device: str) -> str:
    """Return the hardware's own name: the GPU's, or the processor's."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    import platform

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@contextmanager
def repeatable_kernels(device: str, *, strictly: bool = False) -> Iterator[None]:
    """Choose kernels on a GPU that give the same result every time; those of the CPU do so by themselves.

    Args:
        device: "cpu" or "cuda".
        strictly: an operation without such a kernel is an error instead of a warning. Attention chooses one only then.
    """
    if device != "cuda":
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    # NVIDIA: without it products that run side by side may differ between runs. cuBLAS reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=not strictly)
    # Filling every new tensor guards against reading it unwritten, at the price of a pass over memory.
    deterministic: Any = torch.utils.deterministic
    filled, deterministic.fill_uninitialized_memory = deterministic.fill_uninitialized_memory, False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        deterministic.fill_uninitialized_memory = filled

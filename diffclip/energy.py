"""Energy, where the device tells: an NVIDIA GPU's own counter, or the processor's (RAPL, where it may be read)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"


@contextmanager
def energy_measured(device: str) -> Iterator[Callable[[], float | None]]:
    """Yield a function that returns the joules since the start, or None where the device tells nothing.

    A GPU's are those of its whole board, a processor's those of its packages: with all that ran on them beside.

    Args:
        device: "cpu" or "cuda".
    """
    read = gpu_joules if device == "cuda" else processor_joules
    before = read()

    def used() -> float | None:
        now = read()
        # A counter of a processor starts anew every so often: no number is better than a wrong one.
        return None if before is None or now is None or now < before else now - before

    yield used


def processor_joules(powercap: Path = POWERCAP) -> float | None:
    """Return the joules that all processor packages have counted, or None where they may not be read."""
    # "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it; AMD's processors go by the same name.
    packages = [path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1]
    try:
        found = [int((path / "energy_uj").read_text()) for path in packages]
    except (OSError, ValueError):
        return None
    return sum(found) / 1e6 if found else None


def gpu_joules() -> float | None:
    """Return the joules that the current CUDA device has counted, or None where its driver does not tell."""
    library = _nvml()
    if library is None:
        return None
    import torch

    # By its own name, as numbers of devices may be hidden or reordered for torch.
    name = str(getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", ""))
    return counted(library, name if name.startswith("GPU-") else f"GPU-{name}")


def counted(library: Any, name: str) -> float | None:
    """Return the joules of the GPU of that UUID, read through NVML, or None."""
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle)) != 0:
        return None
    if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) != 0:
        return None
    return millijoules.value / 1e3


@lru_cache(maxsize=1)
def _nvml() -> Any:
    try:
        library = ctypes.CDLL(NVML)
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None

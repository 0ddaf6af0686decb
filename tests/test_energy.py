"""Energy where the device tells, and nothing where it does not."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from diffclip import energy


def packages(folder: Path, **microjoules: int) -> None:
    for name, value in microjoules.items():
        place = folder / name.replace("_", ":").replace("rapl", "intel-rapl")
        place.mkdir(parents=True, exist_ok=True)
        (place / "energy_uj").write_text(f"{value}\n")


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    packages(tmp_path, rapl_0=2_000_000, rapl_1=500_000, rapl_0_0=1_000_000)
    assert energy.processor_joules(tmp_path) == 2.5


def test_a_processor_that_may_not_be_read_tells_nothing(tmp_path: Path) -> None:
    assert energy.processor_joules(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert energy.processor_joules(tmp_path) is None


@pytest.mark.parametrize(("before", "after", "used"), [(5.0, 7.5, 2.5), (5.0, 1.0, None), (None, 1.0, None)])
def test_what_is_used_is_the_difference(
    monkeypatch: pytest.MonkeyPatch, before: float | None, after: float, used: float | None
) -> None:
    readings = iter([before, after])
    monkeypatch.setattr(energy, "processor_joules", lambda: next(readings))
    with energy.energy_measured("cpu") as since:
        assert since() == used


class Driver:
    """NVML of a machine with one GPU, which has used 1,234 millijoules."""

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:  # noqa: N802
        return 0 if name == b"GPU-here" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, found: Any) -> int:  # noqa: N802
        ctypes.cast(found, ctypes.POINTER(ctypes.c_ulonglong))[0] = 1234
        return 0


def test_a_gpu_is_read_by_its_own_name() -> None:
    assert energy.counted(Driver(), "GPU-here") == 1.234
    assert energy.counted(Driver(), "GPU-elsewhere") is None

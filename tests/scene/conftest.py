"""A tiny scene on disk and cards for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

CardWriter = Callable[..., Path]


@pytest.fixture
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without $DIFFCLIP_DATA."""
    monkeypatch.delenv("DIFFCLIP_DATA", raising=False)


@pytest.fixture
def tiny_arrays() -> dict[str, np.ndarray]:
    """Cube (4, 6, 3) in which every value tells its place, raster (4, 6, 2), ids 0, 2 and 7 (4, 6)."""
    row, column, band = np.meshgrid(np.arange(4), np.arange(6), np.arange(3), indexing="ij")
    ids = np.zeros((4, 6), dtype=np.uint8)
    ids[:2, 1:] = 7
    ids[2:, 1:] = 2
    return {
        "hsi": (100 * row + 10 * column + band).astype(np.float32),
        "aux": np.stack([row[..., 0], column[..., 0]], axis=2).astype(np.float32),
        "labels": ids,
    }


@pytest.fixture
def write_card(tmp_path: Path, tiny_arrays: dict[str, np.ndarray]) -> CardWriter:
    """Return a function that writes the tiny scene's files and a card `tiny.yaml` with the given keys changed."""

    def write(arrays: dict[str, np.ndarray] | None = None, without: tuple[str, ...] = (), **changes: Any) -> Path:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, array in (tiny_arrays | (arrays or {})).items():
            np.save(data / f"{name}.npy", array)
        card: dict[str, Any] = {
            "title": "Tiny",
            "folder": "data",
            "hsi": {"file": "hsi.npy"},
            "aux": {"file": "aux.npy"},
            "labels": {"file": "labels.npy"},
            "classes": [{"id": 7, "name": "seven"}, {"id": 2, "name": "two"}],
        }
        card |= changes
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in card.items() if key not in without}))
        return path

    return write

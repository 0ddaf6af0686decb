"""A scene mapped from disk gives the same numbers as one in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffclip.scene import mapped
from diffclip.scene.scene import Scene
from diffclip.scene.store import open_scene, save_scene
from diffclip.scene.windows import Windows


@pytest.fixture
def twice(tiny_scene, tmp_path, monkeypatch) -> tuple[Scene, Scene]:
    """One scene in memory, and the same mapped, to be worked on in blocks of a few rows."""
    save_scene(tiny_scene(), tmp_path)
    monkeypatch.setattr(mapped, "MAPPED_ABOVE", 0)
    monkeypatch.setattr(mapped, "_BLOCK", 24 * 16 * 5)
    return tiny_scene(), open_scene(tmp_path)


def test_a_small_scene_is_read_and_a_large_one_is_mapped(twice, tmp_path, monkeypatch):
    resident, large = twice
    assert (mapped.is_mapped(resident.hsi), mapped.is_mapped(large.hsi)) == (False, True)
    monkeypatch.undo()
    assert not mapped.is_mapped(open_scene(tmp_path).hsi)


@pytest.mark.parametrize("scaling", ["standard", "minmax", "minmax-joint", "none"])
def test_it_is_scaled_alike_and_stays_on_disk(twice, scaling):
    resident, large = (scene.imagery.scaled(scaling) for scene in twice)
    # The cube stays on disk; auxiliary rasters have few channels and are scaled in memory.
    assert mapped.is_mapped(large[0])
    for a, b in zip(resident, large, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6)


def test_its_windows_are_the_same(twice):
    pixels = torch.tensor([[0, 23, 575], [300, 301, 5]])
    resident, large = (Windows(scene.hsi, 5)(pixels) for scene in twice)
    assert torch.equal(resident, large)

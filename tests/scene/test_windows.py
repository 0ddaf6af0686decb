"""Windows gathered by index are the windows cut by slicing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.scene.windows import Windows


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 9, 3)).astype(np.float32)


@pytest.mark.parametrize("window", [1, 3, 5, 13])
def test_windows_are_slices_of_the_mirrored_scene_at_every_pixel(array, window):
    half = window // 2
    padded = np.pad(array, ((half, half), (half, half), (0, 0)), mode="reflect")
    expected = [padded[r : r + window, c : c + window].reshape(-1, 3) for r in range(7) for c in range(9)]
    np.testing.assert_array_equal(Windows(array, window)(torch.arange(63)).numpy(), np.stack(expected))


def test_pixels_may_come_in_any_shape(array):
    windows = Windows(array, 3)
    pixels = torch.tensor([[0, 8, 62], [31, 54, 5]])
    found = windows(pixels)
    assert found.shape == (2, 3, 9, 3)
    torch.testing.assert_close(found.flatten(0, 1), windows(pixels.flatten()), rtol=0, atol=0)


@pytest.mark.parametrize("window", [0, 2, 4, 15])
def test_windows_that_are_even_or_larger_than_the_mirror_are_refused(array, window):
    with pytest.raises(UserError, match=f"window: found {window}, expected an odd number below"):
        Windows(array, window)

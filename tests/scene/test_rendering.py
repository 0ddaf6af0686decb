"""Pictures of a scene show its own range of values, whatever its units and its number of rasters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from diffclip.scene.rendering import picture, raster_colour


def test_a_single_raster_is_grey_and_two_fill_three_colours(tiny_scene):
    grey = raster_colour(tiny_scene(1).imagery)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    two = raster_colour(tiny_scene(2).imagery)
    np.testing.assert_array_equal(two[..., 0], two[..., 2])
    assert (two[..., 0] != two[..., 1]).any()


@pytest.mark.parametrize("view", ["hsi", "aux"])
def test_units_do_not_change_a_picture(view, tiny_scene):
    imagery = tiny_scene().imagery
    other = dataclasses.replace(imagery, hsi=imagery.hsi * 4 + 2, aux=imagery.aux * 4 + 2)
    found, again = (picture(each, view).astype(int) for each in (imagery, other))
    assert found.min() == 0
    assert found.max() == 255
    assert np.abs(found - again).max() <= 1


def test_a_constant_raster_is_black_not_an_error(tiny_scene):
    imagery = tiny_scene().imagery
    flat = dataclasses.replace(imagery, aux=np.full_like(imagery.aux, 3.0))
    assert not raster_colour(flat).any()

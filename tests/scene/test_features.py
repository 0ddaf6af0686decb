"""Window means, principal components and morphological profiles."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diffclip.errors import UserError
from diffclip.scene import features
from diffclip.scene.features import morphological_profiles, principal_components, profile, window_means
from diffclip.scene.scene import Imagery, SceneInfo

images = arrays(np.float32, (9, 8), elements=st.integers(-20, 20).map(float))


@pytest.fixture
def imagery() -> Imagery:
    return make_imagery()


def make_imagery(bands: int = 6, side: int = 12) -> Imagery:
    generator = np.random.default_rng(3)
    hsi = generator.normal(size=(side, side + 2, bands)).astype(np.float32)
    aux = generator.normal(size=(side, side + 2, 2)).astype(np.float32)
    return Imagery("random", hsi, aux, SceneInfo("Random", simulated=True))


@pytest.mark.parametrize("use_aux", [True, False])
def test_window_means_are_the_means_of_mirrored_windows_everywhere(imagery, use_aux):
    scales = (1, 3, 7)
    channels = np.concatenate(imagery.scaled("minmax"), axis=2) if use_aux else imagery.scaled("minmax")[0]
    columns = []
    for side in scales:
        half = side // 2
        padded = np.pad(channels, ((half, half), (half, half), (0, 0)), mode="reflect")
        means = [
            padded[r : r + side, c : c + side].mean(axis=(0, 1))
            for r in range(channels.shape[0])
            for c in range(channels.shape[1])
        ]
        columns.append(np.stack(means))
    found = window_means(imagery, scales, use_aux=use_aux, scaling="minmax")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(columns, axis=1), atol=1e-6)


def test_scale_one_is_the_pixel_itself(imagery):
    np.testing.assert_array_equal(window_means(imagery, (1,)), imagery.spectra(np.arange(imagery.n_pixels)))


@pytest.mark.parametrize("scales", [(), (2,), (1, 4), (-1,), (0,)])
def test_scales_that_have_no_centre_are_refused(imagery, scales):
    with pytest.raises(UserError, match="expected odd numbers"):
        window_means(imagery, scales)


def test_principal_components_are_uncorrelated_and_ordered_and_keep_all_variance(imagery):
    found = principal_components(imagery.hsi, 6).reshape(-1, 6)
    covariance = np.cov(found.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-5)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    assert np.trace(covariance) == pytest.approx(imagery.hsi.reshape(-1, 6).var(axis=0, ddof=1).sum(), rel=1e-5)


def test_principal_components_keep_their_sign_when_bands_are_reversed(imagery):
    np.testing.assert_allclose(
        principal_components(imagery.hsi, 3), principal_components(imagery.hsi[:, :, ::-1], 3), atol=1e-5
    )


@pytest.mark.parametrize("n", [0, 7])
def test_more_components_than_bands_are_refused(imagery, n):
    with pytest.raises(UserError, match=r"expected 1\.\.6 for 6 bands"):
        principal_components(imagery.hsi, n)


@settings(max_examples=30, deadline=None)
@given(images)
def test_opening_lies_below_and_closing_above_the_image_and_larger_disks_further(image):
    base, opening_1, closing_1, opening_3, closing_3 = np.moveaxis(profile(image, (1, 3)), 2, 0)
    np.testing.assert_array_equal(base, image)
    assert (opening_3 <= opening_1).all()
    assert (opening_1 <= image).all()
    assert (image <= closing_1).all()
    assert (closing_1 <= closing_3).all()


@settings(max_examples=30, deadline=None)
@given(images)
def test_reconstruction_repeats_without_change_and_mirrors_with_the_sign(image):
    _, opening, closing = np.moveaxis(profile(image, (2,)), 2, 0)
    np.testing.assert_array_equal(profile(opening, (2,))[:, :, 1], opening)
    np.testing.assert_array_equal(profile(closing, (2,))[:, :, 2], closing)
    np.testing.assert_array_equal(profile(-image, (2,))[:, :, 1], -closing)


def test_reconstruction_removes_small_objects_and_keeps_the_outline_of_large_ones():
    image = np.zeros((20, 20), np.float32)
    image[2, 2] = 5.0  # smaller than the disk
    image[8:16, 8:16] = 3.0  # larger: its corners come back too
    opened = profile(image, (2,))[:, :, 1]
    expected = image.copy()
    expected[2, 2] = 0.0
    np.testing.assert_array_equal(opened, expected)


def test_a_flat_image_is_unchanged():
    flat = np.full((6, 7), 2.5, np.float32)
    assert (profile(flat, (1, 2)) == 2.5).all()


def test_profiles_have_one_standardised_column_per_image_and_layer(imagery):
    found = morphological_profiles(imagery, components=3, radii=(1, 2))
    assert found.shape == (imagery.n_pixels, (3 + 2) * 5)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)
    assert morphological_profiles(imagery, components=3, radii=(1, 2), use_aux=False).shape[1] == 3 * 5
    assert morphological_profiles(imagery, components=99, radii=(1,)).shape[1] == (6 + 2) * 3


@pytest.mark.parametrize("wrong", [{"radii": (0,)}, {"components": 0}])
def test_profiles_refuse_what_cannot_be_profiled(imagery, wrong):
    with pytest.raises(UserError, match="expected"):
        morphological_profiles(imagery, **wrong)


@pytest.mark.parametrize(
    "make",
    [lambda imagery: window_means(imagery, (1, 3)), lambda imagery: morphological_profiles(imagery, radii=(1,))],
    ids=["means", "profiles"],
)
def test_features_are_made_once_per_imagery_and_go_with_it(make: Callable[[Imagery], np.ndarray]):
    first, twin = make_imagery(), make_imagery()
    found = make(first)
    assert make(first) is found
    assert not found.flags.writeable
    assert make(twin) is not found
    np.testing.assert_array_equal(make(twin), found)
    before = len(features._made)
    del first
    gc.collect()
    assert len(features._made) == before - 1

"""The strict protocol leaks nothing through windows; the leak of others is measured as it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from scipy.io import loadmat
from scipy.ndimage import label as connected

from diffclip.errors import UserError
from diffclip.protocol.splits import Split, draw_split, window_overlap

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def chessboard(test: np.ndarray, train: np.ndarray, width: int) -> np.ndarray:
    """(n,) distance of every test pixel to its nearest training pixel, pair by pair."""
    rows = np.abs(test[:, None] // width - train // width)
    columns = np.abs(test[:, None] % width - train % width)
    return np.maximum(rows, columns).min(axis=1)


def random_map(seed: int, block: int, noise: float) -> np.ndarray:
    """Blocks of three classes and of none, (4 block, 5 block), some pixels changed at random."""
    generator = np.random.default_rng(seed)
    labels = np.kron(generator.integers(0, 4, (4, 5)), np.ones((block, block), dtype=int))
    noisy = generator.random(labels.shape) < noise
    return np.where(noisy, generator.integers(0, 4, labels.shape), labels).astype(np.int16)


maps = st.builds(random_map, st.integers(0, 10_000), st.integers(4, 8), st.sampled_from([0.0, 0.1]))


@pytest.fixture(scope="module")
def fields(scene_of):
    """Six fields of 30 x 30 pixels, two of each class."""
    return scene_of(np.kron([[1, 2, 3], [2, 3, 1]], np.ones((30, 30), dtype=int)).astype(np.int16))


@quick
@given(labels=maps, shots=st.integers(1, 6), margin=st.integers(1, 9), seed=st.integers(0, 99))
def test_strict_keeps_the_margin_and_every_class_testable_on_any_map(scene_of, labels, shots, margin, seed):
    assume(np.bincount(labels.ravel(), minlength=4)[1:].min() > shots)
    try:
        split = draw_split(scene_of(labels), "strict", shots, seed, margin=margin)
    except UserError:
        reject()  # no place for such a margin; test_strict_that_cannot_be_kept_names_the_class_it_would_lose
    flat, width = labels.ravel(), labels.shape[1]
    assert np.bincount(flat[split.train], minlength=4).tolist() == [0, shots, shots, shots]
    assert len(set(split.train)) == 3 * shots
    assert set(flat[split.test]) == {1, 2, 3}
    # All labelled pixels that are far enough are tested, and no other.
    labelled = np.flatnonzero(flat)
    assert split.test.tolist() == labelled[chessboard(labelled, split.train, width) >= margin].tolist()
    assert split.margin == margin


@quick
@given(labels=maps, shots=st.integers(1, 6), seed=st.integers(0, 99))
def test_paper_uses_every_labelled_pixel_once_on_any_map(scene_of, labels, shots, seed):
    assume(np.bincount(labels.ravel(), minlength=4)[1:].min() > shots)
    split = draw_split(scene_of(labels), "paper", shots, seed)
    assert sorted([*split.train, *split.test]) == np.flatnonzero(labels).tolist()
    assert np.bincount(labels.ravel()[split.train], minlength=4).tolist() == [0, shots, shots, shots]


@quick
@given(labels=maps, shots=st.integers(1, 4), reach=st.integers(0, 4), seed=st.integers(0, 99))
def test_overlap_of_windows_is_what_drawing_them_shows(scene_of, labels, shots, reach, seed):
    assume(np.bincount(labels.ravel(), minlength=4)[1:].min() > shots)
    split = draw_split(scene_of(labels), "paper", shots, seed)
    height, width = labels.shape

    def window(pixel: int) -> set[tuple[int, int]]:
        row, column = divmod(int(pixel), width)
        return {(r, c) for r in range(row - reach, row + reach + 1) for c in range(column - reach, column + reach + 1)}

    seen = set().union(*map(window, split.train))
    train = {divmod(int(pixel), width) for pixel in split.train}
    tested = split.test[:: max(1, len(split.test) // 60)]
    windows = [window(pixel) for pixel in tested]
    overlap = 100 * np.mean([bool(each & seen) for each in windows])
    contains = 100 * np.mean([bool(each & train) for each in windows])
    found = window_overlap(Split(split.train, tested), (height, width), reach)
    assert found == pytest.approx((overlap, contains))


@pytest.mark.parametrize("shots", [1, 2, 5, 10, 40])
def test_strict_keeps_every_class_testable(fields, shots):
    for seed in range(5):
        split = draw_split(fields, "strict", shots, seed, margin=11)
        kept = np.bincount(fields.labels.ravel()[split.test], minlength=4)[1:] / 1800
        assert kept.min() >= 0.25
        assert window_overlap(split, fields.shape, 5) == (0.0, 0.0)


@pytest.mark.parametrize("shots", [4, 10, 40])
def test_strict_draws_a_class_from_one_or_two_compact_places(fields, shots):
    for seed in range(5):
        split = draw_split(fields, "strict", shots, seed, margin=11)
        for k in (1, 2, 3):
            drawn = np.zeros(fields.shape, dtype=bool)
            drawn.ravel()[split.train[fields.labels.ravel()[split.train] == k]] = True
            places, count = connected(drawn, structure=np.ones((3, 3)))
            assert count <= 2
            for place in range(1, count + 1):
                # Half a disc, at a field's edge, is the widest that the nearest pixels of a place spread.
                extent = max(np.ptp(axis) + 1 for axis in np.nonzero(places == place))
                assert extent <= 2 * np.sqrt(2 * shots / np.pi) + 4, "spread out instead of compact"


def test_strict_that_cannot_be_kept_names_the_class_it_would_lose(scene_of):
    labels = np.zeros((40, 40), dtype=np.int16)
    labels[:, :15], labels[:, 25:] = 1, 3
    labels[18:21, 18:21] = 2  # nine pixels, none ever 5 away from another
    for shots, draws in ((2, 100), (1, 75)):
        said = rf"scene map: protocol strict, {shots} shots, seed 0: no draw out of {draws} .* class 2 \(class 2\)"
        with pytest.raises(UserError, match=said):
            draw_split(scene_of(labels), "strict", shots, 0, margin=5)


def test_strict_finds_the_rare_draw_that_keeps_a_small_class(scene_of):
    labels = np.zeros((40, 60), dtype=np.int16)
    labels[:, :20], labels[:, 40:] = 1, 3
    labels[5:35, 30] = 2  # a thin line: testable only from its ends
    split = draw_split(scene_of(labels), "strict", 10, 0, margin=11)
    assert (labels.ravel()[split.test] == 2).any()


FOLDER = Path(os.environ.get("DIFFCLIP_DATA", "")) / "trento-labels-lidar"


@pytest.mark.skipif(
    "DIFFCLIP_DATA" not in os.environ, reason="set DIFFCLIP_DATA to measure the leak on Trento's labels"
)
@pytest.mark.parametrize(("shots", "overlap", "contains"), [(2, 10.4, 3.4), (8, 34.2, 12.4), (40, 81.9, 45.2)])
def test_the_leak_of_random_sampling_on_trento_is_as_known(scene_of, shots, overlap, contains):
    scene = scene_of(loadmat(FOLDER / "allgrd.mat")["mask_test"].astype(np.int16))
    leaks = [window_overlap(draw_split(scene, "paper", shots, seed), scene.shape, 5) for seed in range(10)]
    assert np.mean(leaks, axis=0) == pytest.approx((overlap, contains), abs=3.0)
    strict = draw_split(scene, "strict", shots, 0, margin=11)
    assert window_overlap(strict, scene.shape, 5) == (0.0, 0.0)

"""Training and test pixels are drawn as each protocol promises."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.splits import Split, draw_split, draw_validation, read_split, save_split
from diffclip.scene.scene import Scene

SHOTS = (1, 2, 5, 10)


def block_map(side: int = 12) -> np.ndarray:
    """3 x 4 blocks of `side` pixels with an unlabelled rim each: classes 1, 2 and 3, four blocks of each."""
    block = np.zeros((side, side), dtype=np.int16)
    block[1:-1, 1:-1] = 1
    return np.kron(np.array([[1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2, 3]], dtype=np.int16), block)


@pytest.fixture(scope="module")
def blocks(scene_of: Callable[..., Scene]) -> Scene:
    return scene_of(block_map())


@pytest.fixture(scope="module")
def masked(scene_of: Callable[..., Scene]) -> Scene:
    """The blocks with official masks: the upper half trains, the lower half tests, two columns do neither."""
    labels = block_map()
    upper = np.zeros(labels.shape, dtype=bool)
    upper[: len(labels) // 2] = True
    used = np.ones(labels.shape, dtype=bool)
    used[:, 5:7] = False
    return scene_of(labels, train_mask=upper & used, test_mask=~upper & used)


def classes_of(scene: Scene, pixels: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(scene.labels.ravel()[pixels], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("protocol", ["paper", "standard", "strict"])
@pytest.mark.parametrize("shots", SHOTS)
def test_every_protocol_draws_just_the_shots_of_every_class_and_tests_on_other_pixels(masked, protocol, shots):
    split = draw_split(masked, protocol, shots, 0, margin=3)
    assert classes_of(masked, split.train) == {1: shots, 2: shots, 3: shots}
    assert len(set(split.train)) == len(split.train)
    assert not set(split.train) & set(split.test)
    assert set(classes_of(masked, split.test)) == {1, 2, 3}
    assert (np.diff(split.test) > 0).all()
    assert (np.diff(masked.labels.ravel()[split.train]) >= 0).all()


@pytest.mark.parametrize("protocol", ["paper", "standard", "strict"])
def test_the_same_seed_gives_the_same_split_and_another_seed_another(masked, protocol):
    first, again, other = (draw_split(masked, protocol, 5, seed, margin=3) for seed in (0, 0, 1))
    assert first.sha256 == again.sha256
    assert first.train.tolist() == again.train.tolist()
    assert first.sha256 != other.sha256
    assert set(first.train) != set(other.train)


@pytest.mark.parametrize("protocol", ["paper", "standard"])
def test_fewer_shots_are_a_subset_of_more_shots(masked, protocol):
    trains = [set(draw_split(masked, protocol, shots, 4).train) for shots in SHOTS]
    assert all(fewer < more for fewer, more in itertools.pairwise(trains))


def test_paper_tests_on_all_other_labelled_pixels(blocks):
    split = draw_split(blocks, "paper", 5, 0)
    assert set(split.train) | set(split.test) == set(np.flatnonzero(blocks.labels))
    assert split.margin is None


def test_paper_draws_from_the_whole_class_evenly(blocks):
    drawn = np.concatenate([draw_split(blocks, "paper", 1, seed).train for seed in range(200)])
    quarters = np.bincount(drawn // blocks.shape[1] // 12 * 4 + drawn % blocks.shape[1] // 12, minlength=12)
    assert quarters.min() > 25  # 50 expected in each of the 12 blocks


def test_paper_ignores_official_masks(masked, blocks):
    assert draw_split(masked, "paper", 5, 0).sha256 == draw_split(blocks, "paper", 5, 0).sha256


def test_standard_draws_and_tests_only_inside_the_masks(masked):
    split = draw_split(masked, "standard", 5, 0)
    labelled = masked.labels > 0
    assert set(split.train) <= set(np.flatnonzero(masked.train_mask & labelled))
    assert set(split.test) == set(np.flatnonzero(masked.test_mask & labelled))


def test_standard_never_tests_on_a_training_pixel_when_the_masks_overlap(scene_of):
    labels = block_map()
    everywhere = np.ones(labels.shape, dtype=bool)
    split = draw_split(scene_of(labels, train_mask=everywhere, test_mask=everywhere), "standard", 5, 0)
    assert not set(split.train) & set(split.test)
    assert len(split.train) + len(split.test) == (labels > 0).sum()


def test_standard_without_masks_is_an_error_that_names_the_scene(blocks):
    with pytest.raises(UserError, match=r"scene map: protocol standard: found no official train and test masks"):
        draw_split(blocks, "standard", 5, 0)


def test_standard_without_test_pixels_of_a_class_is_an_error_that_names_it(scene_of):
    labels = block_map()
    train = np.ones(labels.shape, dtype=bool)
    scene = scene_of(labels, train_mask=train, test_mask=labels != 2)
    with pytest.raises(UserError, match=r"class 2 \(class 2\) has 400 pixels to draw from, 0 left to test on"):
        draw_split(scene, "standard", 5, 0)
    assert draw_split(scene, "standard", 5, 0, on_small_class="skip").skipped == (2,)


@pytest.fixture(scope="module")
def uneven(scene_of: Callable[..., Scene]) -> Scene:
    """Classes 1 and 2 with 60 pixels, class 3 with 5, class 4 with 2."""
    labels = np.zeros((20, 20), dtype=np.int16)
    labels[:3], labels[-3:] = 1, 2
    labels[10, :5], labels[10, -2:] = 3, 4
    return scene_of(labels)


def test_every_class_that_is_too_small_is_named(uneven):
    with pytest.raises(UserError) as caught:
        draw_split(uneven, "paper", 5, 0)
    lines = str(caught.value).splitlines()
    assert [line.split(" has ")[0] for line in lines] == [
        "scene map: protocol paper, 5 shots: class 3 (class 3)",
        "scene map: protocol paper, 5 shots: class 4 (class 4)",
    ]
    assert "fewer shots or set on_small_class: skip" in lines[0]


def test_a_class_needs_one_pixel_more_than_the_shots(uneven):
    assert draw_split(uneven, "paper", 1, 0).skipped == ()
    assert draw_split(uneven, "paper", 2, 0, on_small_class="skip").skipped == (4,)
    assert draw_split(uneven, "paper", 4, 0, on_small_class="skip").skipped == (4,)
    assert draw_split(uneven, "paper", 5, 0, on_small_class="skip").skipped == (3, 4)


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_a_skipped_class_is_neither_trained_nor_tested_and_leaves_the_others_as_they_are(uneven, protocol):
    split = draw_split(uneven, protocol, 4, 0, margin=1, on_small_class="skip")
    assert set(classes_of(uneven, split.train)) == {1, 2, 3}
    assert set(classes_of(uneven, split.test)) == {1, 2, 3}
    if protocol == "paper":
        fewer = draw_split(uneven, protocol, 1, 0)
        assert set(fewer.train[:3]) < set(split.train)


def test_skipping_all_but_one_class_is_an_error(uneven):
    with pytest.raises(UserError, match="0 classes have pixels enough, expected at least two"):
        draw_split(uneven, "paper", 70, 0, on_small_class="skip")


@pytest.mark.parametrize("wrong", [{"shots": 0}, {"margin": 0}])
def test_no_shots_or_no_margin_are_refused(blocks, wrong):
    with pytest.raises(UserError, match="expected 1 or more of both"):
        draw_split(blocks, "strict", **{"shots": 2, "seed": 0, "margin": 1, **wrong})


def test_validation_pixels_are_labelled_and_do_not_train(blocks):
    split = draw_split(blocks, "paper", 5, 0)
    found = draw_validation(blocks, split, 0)
    assert len(np.unique(found)) == len(found)
    assert found.tolist() == sorted(found.tolist())
    assert set(found.tolist()) < set(split.test.tolist())
    # A fifth of the 1200 labelled pixels without 15 that train would be 237.
    assert len(found) == 200
    assert draw_validation(blocks, split, 0).tolist() == found.tolist()
    assert draw_validation(blocks, split, 1).tolist() != found.tolist()


def test_validation_pixels_are_not_stratified_by_class(blocks):
    split = draw_split(blocks, "paper", 5, 0)
    counts = [sorted(classes_of(blocks, draw_validation(blocks, split, seed)).values()) for seed in range(20)]
    assert len({tuple(found) for found in counts}) > 10
    shares = np.array([list(classes_of(blocks, draw_validation(blocks, split, seed)).values()) for seed in range(40)])
    np.testing.assert_allclose(shares.mean(0), 200 / 3, atol=4 * (200 * 2 / 9 / 40) ** 0.5)


def test_a_small_scene_gives_a_fifth_for_validation_and_skipped_classes_give_none(scene_of):
    labels = np.repeat([1, 2, 3], 20)[None].astype(np.int16)
    labels[0, 20:38] = 0  # class 2 keeps two pixels
    scene = scene_of(labels)
    split = draw_split(scene, "paper", 3, 0, on_small_class="skip")
    assert split.skipped == (2,)
    found = draw_validation(scene, split, 0)
    assert len(found) == 6  # of 40 - 6 pixels
    assert set(classes_of(scene, found)) <= {1, 3}
    assert len(draw_validation(scene, Split(np.arange(19), np.array([19])), 0)) >= 1


@pytest.mark.parametrize(
    "split", [Split(np.array([1, 2]), np.array([5, 9])), Split(np.array([1]), np.array([7]), (3, 4), 11)]
)
def test_a_split_survives_its_file(tmp_path, split):
    path = tmp_path / "deep" / "split.npz"
    save_split(split, path)
    found = read_split(path)
    assert found.sha256 == split.sha256
    assert (found.train.tolist(), found.test.tolist()) == (split.train.tolist(), split.test.tolist())
    assert (found.skipped, found.margin) == (split.skipped, split.margin)
    assert found.train.dtype == np.int64


def test_a_missing_split_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: no such split; make it with 'diffclip split'"):
        read_split(tmp_path / "none.npz")


def test_a_split_differs_by_each_of_its_parts():
    splits = [
        Split(np.array([1, 2]), np.array([3])),
        Split(np.array([1]), np.array([2, 3])),
        Split(np.array([2, 1]), np.array([3])),
        Split(np.array([1, 2]), np.array([3]), (1,)),
        Split(np.array([1, 2]), np.array([3]), (), 5),
    ]
    assert len({split.sha256 for split in splits}) == len(splits)

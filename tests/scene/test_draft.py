"""A first card is guessed from the files, and loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from diffclip.errors import UserError
from diffclip.scene.draft import draft_card
from diffclip.scene.load import load_scene

LABELS = np.repeat([[0, 3], [1, 7]], 6, axis=0).repeat(5, axis=1)  # (12, 10)
GENERATOR = np.random.default_rng(0)
CUBE, DSM = GENERATOR.random((12, 10, 8)), GENERATOR.random((12, 10))


def drafted(folder: Path) -> Path:
    card = folder / "here.yaml"
    card.write_text(draft_card("Here", folder, str(folder)))
    return card


def check(card: Path) -> None:
    scene = load_scene(card)
    np.testing.assert_allclose(scene.hsi, CUBE, rtol=1e-6)
    np.testing.assert_allclose(scene.aux[..., 0], DSM, rtol=1e-6)
    np.testing.assert_array_equal(scene.labels, np.searchsorted([1, 3, 7], LABELS) * (LABELS > 0) + (LABELS > 0))
    assert scene.class_names == ("class 1", "class 3", "class 7")


def test_files_with_their_axes_in_any_order_become_a_scene(tmp_path):
    np.save(tmp_path / "a.npy", CUBE.transpose(2, 1, 0))
    np.save(tmp_path / "b.npy", DSM.T)
    np.save(tmp_path / "c.npy", LABELS.astype(float))
    check(drafted(tmp_path))


def test_keys_are_named_where_a_file_holds_several_arrays(tmp_path):
    savemat(tmp_path / "all.mat", {"cube": CUBE, "dsm": DSM, "gt": LABELS, "name": "harbour"})
    card = drafted(tmp_path)
    assert 'hsi: {file: "all.mat", key: "cube"}' in card.read_text()
    check(card)


def test_a_map_that_is_called_labels_goes_before_another_of_few_whole_numbers(tmp_path):
    np.savez(tmp_path / "all.npz", a_floor=np.round(3 * DSM), cube=CUBE, labels=LABELS)
    assert 'labels: {file: "all.npz", key: "labels"}' in drafted(tmp_path).read_text()


def test_further_label_maps_are_no_rasters_and_named(tmp_path, caplog):
    most = np.where(GENERATOR.random(LABELS.shape) < 0.9, LABELS, 0)
    for name, array in {
        "gt": LABELS,
        "hsi": CUBE,
        "lidar": DSM,
        "old": LABELS * (LABELS == 3),
        "test_gt": most,
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    card = drafted(tmp_path)
    check(card)
    assert load_scene(card).aux.shape[2] == 1
    for name in ("old.npy", "test_gt.npy"):
        assert f"# left out, a label map too: {name}" in card.read_text()
        assert f"{name}: left out: it looks like a label map too" in caplog.text


@pytest.mark.parametrize("names", [("train_gt", "test_gt"), ("TRLabel", "TSLabel")])
@pytest.mark.parametrize("whole", [False, True])
def test_maps_of_training_and_test_pixels_become_official_masks(tmp_path, names, whole):
    drawn = GENERATOR.random(LABELS.shape) < 0.3
    maps = dict(zip(names, (LABELS * drawn, LABELS * ~drawn), strict=True)) | ({"gt": LABELS} if whole else {})
    np.savez(
        tmp_path / "all.npz", hsi=CUBE, lidar=DSM, **{name: array.astype(np.uint8) for name, array in maps.items()}
    )
    card = drafted(tmp_path)
    check(card)
    scene = load_scene(card)
    np.testing.assert_array_equal(scene.train_mask, (LABELS > 0) & drawn)
    np.testing.assert_array_equal(scene.test_mask, (LABELS > 0) & ~drawn)
    assert "{id: 3, name: class 3}  # 30 pixels" in card.read_text()
    assert ("\nlabels: " in card.read_text()) == whole
    assert "left out" not in card.read_text()


def test_maps_of_training_and_test_pixels_that_share_some_are_not_drafted_together(tmp_path):
    np.savez(tmp_path / "all.npz", hsi=CUBE, lidar=DSM, train_gt=LABELS, test_gt=LABELS)
    card = drafted(tmp_path)
    check(card)
    assert "left out, a label map too: all.npz " in card.read_text()


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_a_broken_file_is_named(tmp_path, suffix):
    (tmp_path / f"broken{suffix}").write_bytes(b"nothing that could be read")
    with pytest.raises(UserError, match=rf"broken\{suffix}: not readable as \{suffix}: "):
        drafted(tmp_path)


def test_what_holds_no_numbers_is_left_out_with_a_warning(tmp_path, caplog):
    savemat(tmp_path / "all.mat", {"cube": CUBE, "dsm": DSM, "gt": LABELS, "name": "harbour"})
    (tmp_path / "broken.npy").write_bytes(b"nothing that could be read")
    check(drafted(tmp_path))
    assert "all.mat: name: found <U7, expected an array of numbers; left out" in caplog.text
    assert "broken.npy: not readable as .npy: " in caplog.text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"cube": CUBE, "dsm": DSM}, "expected a label map: two axes, few whole numbers"),
        ({"gt": LABELS, "dsm": DSM}, "expected a cube with the grid of all.npz"),
        ({"gt": LABELS, "cube": CUBE, "dsm": DSM[1:]}, "expected an auxiliary raster with the grid of all.npz"),
    ],
)
def test_what_is_missing_is_said_with_what_was_found(tmp_path, arrays, message):
    np.savez(tmp_path / "all.npz", **arrays)
    with pytest.raises(UserError, match=message):
        drafted(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        draft_card("Here", tmp_path / "absent", "")

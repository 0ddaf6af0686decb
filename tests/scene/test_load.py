"""Loading: layout, scale, crop, label ids, official masks, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.scene.load import load_scene

Arrays = dict[str, np.ndarray]
CardWriter = Callable[..., Path]
SHIPPED = Path(__file__).parents[2] / "config/scenes"


def test_a_scene_is_loaded_by_one_call(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    scene = load_scene(write_card())
    np.testing.assert_array_equal(scene.hsi, tiny_arrays["hsi"])
    np.testing.assert_array_equal(scene.aux, tiny_arrays["aux"])
    assert scene.name == "tiny" and scene.info.title == "Tiny" and not scene.info.simulated
    assert scene.hsi.dtype == scene.aux.dtype == np.float32 and scene.labels.dtype == np.int16
    assert scene.info.aux_names == ("aux 1", "aux 2") and scene.info.false_colour == (2, 1, 0)


@pytest.mark.parametrize("axes", ["HWB", "BHW", "WHB", "BWH", "WBH", "HBW", "CHW"])
def test_any_axis_order_is_put_right(write_card: CardWriter, tiny_arrays: Arrays, axes: str) -> None:
    order = ["HWB".index(axis.replace("C", "B")) for axis in axes]
    card = write_card(
        arrays={"hsi": tiny_arrays["hsi"].transpose(order), "labels": tiny_arrays["labels"].T},
        hsi={"file": "hsi.npy", "axes": axes},
        labels={"file": "labels.npy", "axes": "WH"},
    )
    scene = load_scene(card)
    assert scene.hsi[3, 5, 2] == 352 and scene.hsi[1, 4, 0] == 140
    assert scene.labels[0, 5] == 1 and scene.labels[3, 5] == 2


def test_label_ids_with_gaps_become_one_to_k_in_the_cards_order(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    scene = load_scene(write_card(arrays={"labels": tiny_arrays["labels"].astype(float)}))
    assert scene.class_names == ("seven", "two")
    np.testing.assert_array_equal(scene.labels == 1, tiny_arrays["labels"] == 7)
    np.testing.assert_array_equal(scene.labels == 2, tiny_arrays["labels"] == 2)


def test_an_id_that_the_card_does_not_list_is_refused_with_its_pixels(
    write_card: CardWriter, tiny_arrays: Arrays
) -> None:
    ids = tiny_arrays["labels"].astype(np.int16)
    ids[0, :2] = -1
    ids[3, 5] = 9
    with pytest.raises(UserError, match=r"labels\.npy: found ids -1 \(2 pixels\), 9 \(1 pixels\).*expected 0, 2, 7"):
        load_scene(write_card(arrays={"labels": ids}))
    assert load_scene(write_card(arrays={"labels": ids}, unlabelled=[-1, 0, 9])).labels[0, 1] == 0


def test_scale_and_offset_are_applied_to_integers(write_card: CardWriter) -> None:
    counts = np.full((4, 6, 3), 40000, dtype=np.uint16)
    hsi = {"file": "hsi.npy", "scale": 1e-4, "offset": -1}
    np.testing.assert_allclose(load_scene(write_card(arrays={"hsi": counts}, hsi=hsi)).hsi, 3.0, rtol=1e-6)


def test_several_auxiliary_files_are_stacked_in_order(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    flat = tiny_arrays["aux"][..., 0] + 50
    aux = [{"file": "sar.npy", "names": ["SAR"]}, {"file": "aux.npy", "names": ["a", "b"]}]
    scene = load_scene(write_card(arrays={"sar": flat}, aux=aux))
    assert scene.aux[3, 5].tolist() == [53, 3, 5] and scene.info.aux_names == ("SAR", "a", "b")
    assert scene.info.aux_modalities == () and list(scene.imagery.rasters()) == ["hsi", "aux"]


def test_auxiliary_files_of_several_sensors_are_modalities_of_their_own(write_card: CardWriter) -> None:
    sar = np.arange(24, dtype=np.float32).reshape(4, 6)
    aux = [{"file": "sar.npy", "modality": "sar"}, {"file": "aux.npy", "modality": "lidar"}]
    scene = load_scene(write_card(arrays={"sar": sar}, aux=aux))
    assert scene.imagery.aux_channels == {"sar": [0], "lidar": [1, 2]}
    np.testing.assert_array_equal(scene.imagery.rasters("none")["sar"][..., 0], sar)
    assert scene.sha256 != load_scene(write_card(arrays={"sar": sar}, aux=[{"file": "sar.npy"}, aux[1]])).sha256
    with pytest.raises(UserError, match=r"aux\.0\.modality: .*expected another name than hsi"):
        load_scene(write_card(arrays={"sar": sar}, aux=[{"file": "sar.npy", "modality": "hsi"}]))


def test_a_crop_takes_rows_and_columns_up_to_the_end(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    scene = load_scene(write_card(rows=[1, 3], columns=[2, 6]))
    np.testing.assert_array_equal(scene.hsi, tiny_arrays["hsi"][1:3, 2:6])
    np.testing.assert_array_equal(scene.aux, tiny_arrays["aux"][1:3, 2:6])
    assert scene.labels.tolist() == [[1] * 4, [2] * 4] and scene.hsi.flags.c_contiguous
    with pytest.raises(UserError, match=r"columns: found \[2, 7\], expected at most 6 columns"):
        load_scene(write_card(columns=[2, 7]))


def _official(labels: np.ndarray) -> Arrays:
    train, test = np.zeros_like(labels), np.zeros_like(labels)
    train[:, 1:3], test[:, 3:] = labels[:, 1:3], labels[:, 3:]
    return {"train": train, "test": test}


MASKS = {"train_labels": {"file": "train.npy"}, "test_labels": {"file": "test.npy"}}


def test_official_label_maps_give_masks_and_their_union_the_labels(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    maps = _official(tiny_arrays["labels"])
    scene = load_scene(write_card(arrays=maps, without=("labels",), **MASKS))
    assert scene.train_mask is not None and scene.test_mask is not None
    np.testing.assert_array_equal(scene.train_mask, maps["train"] > 0)
    np.testing.assert_array_equal(scene.test_mask, maps["test"] > 0)
    np.testing.assert_array_equal(scene.labels > 0, tiny_arrays["labels"] > 0)


def test_official_label_maps_that_contradict_are_refused(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    maps = _official(tiny_arrays["labels"])
    maps["test"][0, 1] = 7
    with pytest.raises(UserError, match="train_labels and test_labels: found 1 pixels in both"):
        load_scene(write_card(arrays=maps, **MASKS))
    maps = _official(tiny_arrays["labels"])
    maps["test"][0, 3:5] = 2
    with pytest.raises(UserError, match="labels: found 2 pixels whose class differs"):
        load_scene(write_card(arrays=maps, **MASKS))


def test_a_gap_is_refused_unless_the_card_says_how_to_fill_it(write_card: CardWriter, tiny_arrays: Arrays) -> None:
    aux = tiny_arrays["aux"].copy()
    aux[0, 0, 0], aux[1, 1, 1] = np.nan, -9999
    with pytest.raises(UserError, match=r"aux\.npy: found 1 values that are NaN"):
        load_scene(write_card(arrays={"aux": aux}))
    filled = load_scene(write_card(arrays={"aux": aux}, aux={"file": "aux.npy", "nodata": -9999, "fill": -1})).aux
    assert filled[0, 0, 0] == filled[1, 1, 1] == -1 and filled[3, 5].tolist() == [3, 5]


@pytest.mark.parametrize(
    ("arrays", "changes", "said"),
    [
        ({"aux": np.zeros((6, 4, 2))}, {}, r"aux\.npy: found height and width \(6, 4\), expected \(4, 6\).*axes"),
        ({"labels": np.zeros((4, 6, 3))}, {}, r"labels\.npy: found shape \(4, 6, 3\), expected axes HW"),
        ({"hsi": np.zeros(24)}, {}, r"hsi\.npy: found shape \(24,\), expected axes HWB"),
        ({}, {"hsi": {"file": "hsi.npy", "axes": "HW"}}, "expected axes HW"),
        ({}, {"wavelengths": [400, 500]}, r"wavelengths: found 2, expected one per band \(3\)"),
        ({}, {"aux": {"file": "aux.npy", "names": ["z"]}}, r"names: found 1, aux\.npy has 2 channels"),
        ({}, {"hsi": {"file": "hsi.npy", "key": "HSI"}}, r"hsi\.npy: key: found 'HSI', expected none"),
    ],
)
def test_what_does_not_match_the_card_is_refused_with_file_found_and_expected(
    write_card: CardWriter, arrays: Arrays, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        load_scene(write_card(arrays=arrays, **changes))


def test_false_colour_is_chosen_by_wavelength(write_card: CardWriter) -> None:
    assert load_scene(write_card(wavelengths=[640, 460, 550])).info.false_colour == (0, 2, 1)


def test_the_simulated_scene_carries_its_cards_words() -> None:
    scene = load_scene("simulated", folder=SHIPPED)
    assert scene.info.simulated and scene.name == "simulated" and scene.info.title == "Town and fields"


def test_the_muufl_crop_has_its_sizes_and_class_counts() -> None:
    if "DIFFCLIP_DATA" not in os.environ:
        pytest.skip("DIFFCLIP_DATA is not set: the real MUUFL crop was NOT tested; point it at the data folder")
    scene = load_scene("muufl-crop", folder=SHIPPED)
    assert scene.hsi.shape == (90, 90, 64) and scene.aux.shape == (90, 90, 2)
    counts = dict(zip(scene.class_names, np.bincount(scene.labels.ravel())[1:].tolist(), strict=True))
    assert counts == {
        "trees": 2332,
        "mostly grass": 798,
        "mixed ground surface": 283,
        "road": 1055,
        "buildings' shadow": 655,
        "buildings": 1684,
        "sidewalk": 117,
        "yellow curb": 46,
    }
    assert scene.hsi.min() >= 0 and scene.hsi.max() <= 1
    assert scene.sha256 == load_scene("muufl-crop", folder=SHIPPED).sha256

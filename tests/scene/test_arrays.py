"""Every format gives back the value at the right row, column and band."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io

from diffclip.errors import UserError
from diffclip.scene.arrays import read_array

CUBE = np.arange(4 * 6 * 3, dtype=np.float32).reshape(4, 6, 3)


def _v7_3(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("#refs#")
        for key, array in arrays.items():
            file[key] = array.T  # as MATLAB writes it


def _geotiff(path: Path) -> None:
    with rasterio.open(path, "w", driver="GTiff", height=4, width=6, count=3, dtype="float32") as raster:
        raster.write(np.moveaxis(CUBE, -1, 0))


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "v5.mat": ("HSI", lambda path: scipy.io.savemat(path, {"HSI": CUBE, "other": 1})),
    "v7_3.mat": ("HSI", lambda path: _v7_3(path, HSI=CUBE, other=np.ones((1, 1)))),
    "plain.npy": ("", lambda path: np.save(path, CUBE)),
    "several.npz": ("HSI", lambda path: np.savez(path, HSI=CUBE, other=1)),
    "raster.tif": ("", _geotiff),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_a_value_lies_at_its_row_column_and_band_in_every_format(tmp_path: Path, name: str) -> None:
    key, write = WRITERS[name]
    write(tmp_path / name)
    np.testing.assert_array_equal(read_array(tmp_path / name, key), CUBE)


@pytest.mark.parametrize("name", ["v5.mat", "v7_3.mat", "several.npz"])
def test_a_misspelt_key_is_refused_with_the_keys_that_are_there(tmp_path: Path, name: str) -> None:
    WRITERS[name][1](tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: no key 'HS' \(did you mean 'HSI'\?\); found HSI, other"):
        read_array(tmp_path / name, "HS")
    with pytest.raises(UserError, match="no key given; found HSI, other"):
        read_array(tmp_path / name)


def test_the_only_array_of_a_file_needs_no_key(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "one.mat", {"whatever": CUBE})
    np.testing.assert_array_equal(read_array(tmp_path / "one.mat"), CUBE)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A struct with a cell of structs, a struct array and a nested struct, laid out as MUUFL's is."""
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = {"z": CUBE[..., :2]}, {"z": CUBE[..., 1:]}
    array = np.zeros((1, 2), dtype=[("z", object)])
    array[0, 0]["z"], array[0, 1]["z"] = CUBE, CUBE + 1
    ids = np.where(CUBE[..., 0] > 9, -1, 3)
    scipy.io.savemat(
        tmp_path / "nested.mat", {"hsi": {"Data": CUBE, "Lidar": cell, "views": array, "sceneLabels": {"labels": ids}}}
    )
    return tmp_path / "nested.mat"


@pytest.fixture
def nested_v7_3(tmp_path: Path) -> Path:
    """The same struct as MATLAB writes it to HDF5: groups, and references for cells and struct arrays."""
    with h5py.File(tmp_path / "nested_v7_3.mat", "w") as file:
        for i, z in enumerate((CUBE[..., :2], CUBE[..., 1:])):
            file[f"#refs#/cell{i}/z"] = z.T
            file[f"#refs#/view{i}"] = (CUBE + i).T
        reference = h5py.ref_dtype
        file["hsi/Data"] = CUBE.T
        file["hsi/Lidar"] = np.array([[file[f"#refs#/cell{i}"].ref] for i in range(2)], dtype=reference)
        file["hsi/views/z"] = np.array([[file[f"#refs#/view{i}"].ref] for i in range(2)], dtype=reference)
        file["hsi/sceneLabels/labels"] = np.where(CUBE[..., 0] > 9, -1, 3).T
    return tmp_path / "nested_v7_3.mat"


@pytest.mark.parametrize("made", ["nested", "nested_v7_3"])
def test_structs_and_cells_are_walked_by_dots_and_positions(request: pytest.FixtureRequest, made: str) -> None:
    path = request.getfixturevalue(made)
    np.testing.assert_array_equal(read_array(path, "hsi.Data"), CUBE)
    np.testing.assert_array_equal(read_array(path, "hsi.Lidar[0].z"), CUBE[..., :2])
    np.testing.assert_array_equal(read_array(path, "hsi.Lidar[1].z"), CUBE[..., 1:])
    np.testing.assert_array_equal(read_array(path, "hsi.views[1].z"), CUBE + 1)
    assert set(np.unique(read_array(path, "hsi.sceneLabels.labels"))) == {-1, 3}


@pytest.mark.parametrize("made", ["nested", "nested_v7_3"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("hsi.Dta", r"hsi\.Dta: no key 'Dta' \(did you mean 'Data'\?\); found Data, Lidar"),
        ("hsi.Lidar[2].z", "found 2 elements, expected one at position 2"),
        ("hsi.sceneLabels", "found a struct with fields labels, expected an array of numbers"),
        ("hsi.Data.z", "no key 'z'"),
        ("hsi", "found a struct with fields Data"),
    ],
)
def test_a_wrong_step_into_a_struct_is_refused(request: pytest.FixtureRequest, made: str, key: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_array(request.getfixturevalue(made), key)


def test_an_unknown_format_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown format '\.jpg', expected one of \.mat, \.npy, \.npz, \.tif, \.tiff"):
        read_array(tmp_path / "scene.jpg")


@pytest.mark.parametrize("name", ["broken.mat", "broken.npy", "broken.npz", "broken.tif"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not what the suffix says")
    with pytest.raises(UserError, match=f"{name}: not readable"):
        read_array(tmp_path / name)


def test_an_array_of_text_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(UserError, match="found <U1, expected an array of numbers"):
        read_array(tmp_path / "text.npy")


def test_a_key_is_refused_where_a_file_holds_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", CUBE)
    with pytest.raises(UserError, match="key: found 'HSI', expected none"):
        read_array(tmp_path / "plain.npy", "HSI")

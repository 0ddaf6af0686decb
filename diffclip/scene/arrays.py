"""Reading one array out of a file: MATLAB (v5 and v7.3, structs and cells included), NumPy, GeoTIFF."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rasterio
import scipy.io
from rasterio.errors import NotGeoreferencedWarning

from diffclip.errors import UserError, did_you_mean

Step = str | int  # a field's name, or a position in a cell or struct array (from 0)


def read_array(path: Path, key: str = "") -> np.ndarray:
    """Return one numeric array of a file, axes as MATLAB or NumPy shows them; a GeoTIFF gives (H, W, B).

    Args:
        path: .mat, .npy, .npz, .tif or .tiff.
        key: which array of a .mat or .npz; may be left out when there is only one. Structs and cells are walked
            with dots and positions from 0: `hsi.Lidar[0].z`.

    Raises:
        UserError: no such file, unknown format, broken file, no such key, or not an array of numbers.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: unknown format {path.suffix!r}, expected one of {', '.join(_READERS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with _readable(path):
        found = read(path, key)
    return _numeric(path, key, found)


def array_keys(path: Path) -> list[str]:
    """Return the top-level keys of a .mat or .npz, and one empty key for a file of one array.

    Raises:
        UserError: broken file.
    """
    path = Path(path)
    with _readable(path):
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return list(archive.files)
        if path.suffix.lower() != ".mat":
            return [""]
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                return [name for name in file if not name.startswith("#")]
        return [name for name, _, _ in scipy.io.whosmat(path)]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # every reader has a zoo of its own for a broken file
        raise UserError(f"{path}: not readable as {path.suffix}: {error}") from error


def _numeric(path: Path, key: str, found: Any) -> np.ndarray:
    if isinstance(found, np.ndarray | np.void) and found.dtype.names:
        kind = f"a struct with fields {', '.join(found.dtype.names)}"
    elif isinstance(found, np.ndarray) and found.dtype.kind == "O":
        kind = f"a cell or struct array of {found.size} elements"
    elif isinstance(found, np.ndarray) and found.dtype.kind in "biuf":
        return found
    else:
        kind = str(getattr(found, "dtype", type(found).__name__))
    raise UserError(f"{path}: {key}: found {kind}, expected an array of numbers")


def _read_npy(path: Path, key: str) -> np.ndarray:
    _refuse_key(path, key)
    return np.load(path, allow_pickle=False)


def _read_npz(path: Path, key: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return archive[_known_key(path, key, archive.files)]


def _read_tiff(path: Path, key: str) -> np.ndarray:
    _refuse_key(path, key)
    with warnings.catch_warnings():
        # Where on Earth a pixel lies is of no use here.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            return np.moveaxis(raster.read(), 0, -1)


def _read_mat(path: Path, key: str) -> np.ndarray:
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            names = [name for name in file if not name.startswith("#")]
            return _walk_hdf(path, key, file, _steps(path, key, names))
    names = [name for name, _, _ in scipy.io.whosmat(path)]
    first, *rest = _steps(path, key, names)
    value = scipy.io.loadmat(path, variable_names=[str(first)])[first]
    for step in rest:
        value = _step_into(path, key, value, step)
    return _unwrapped(value)


def _step_into(path: Path, key: str, value: Any, step: Step) -> Any:
    """Go one step down into what scipy makes of a struct (structured array) or a cell (object array)."""
    value = _unwrapped(value)
    if isinstance(step, int):
        # MATLAB counts column by column.
        flat = np.asarray(value).ravel(order="F")
        if step >= flat.size:
            raise UserError(f"{path}: {key}: found {flat.size} elements, expected one at position {step} (from 0)")
        return flat[step]
    return value[_known_key(path, step, value.dtype.names or (), within=key)]


def _unwrapped(value: Any) -> Any:
    """Take the element out of a 1 x 1 struct or cell."""
    if isinstance(value, np.ndarray) and value.size == 1 and (value.dtype.names or value.dtype.kind == "O"):
        element = value.ravel()[0]
        return _unwrapped(element) if isinstance(element, np.ndarray) else element
    return value


def _walk_hdf(path: Path, key: str, file: h5py.File, steps: list[Step]) -> np.ndarray:
    """Walk a v7.3 file: structs are groups, cells and struct arrays are datasets of references."""
    node: Any = file
    position: int | None = None
    for step in steps:
        if isinstance(step, int):
            position = step
        else:
            names = list(node) if isinstance(node, h5py.Group) else []
            node = node[_known_key(path, step, [n for n in names if not n.startswith("#")], within=key)]
        # The position of a struct array comes before the field, its references lie below the field.
        if isinstance(node, h5py.Dataset) and node.dtype.kind == "O":
            references = node[()].ravel()
            if (position or 0) >= references.size:
                raise UserError(f"{path}: {key}: found {references.size} elements, expected one at position {position}")
            if position is not None or references.size == 1:
                node, position = file[references[position or 0]], None
    if position:
        raise UserError(f"{path}: {key}: found 1 element, expected one at position {position} (from 0)")
    if isinstance(node, h5py.Group):
        raise UserError(f"{path}: {key}: found a struct with fields {', '.join(node)}, expected an array of numbers")
    # MATLAB stores column by column, HDF5 row by row: the axes come out reversed.
    return np.asarray(node[()]).T


def _steps(path: Path, key: str, names: Iterable[str]) -> list[Step]:
    """Split `hsi.Lidar[0].z` into ["hsi", "Lidar", 0, "z"]; the first name is checked, "" is the only array."""
    parts: list[Step] = [int(number) if number else name for number, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", key)]
    first = _known_key(path, str(parts[0]) if parts else "", names, within=key)
    return [first, *parts[1:]]


def _known_key(path: Path, key: str, names: Iterable[str], within: str = "") -> str:
    known = list(names)
    if not key and len(known) == 1:
        return known[0]
    if key in known:
        return key
    where = f"{within}: " if within and within != key else ""
    found = f"no key {key!r}{did_you_mean(key, known)}" if key else "no key given"
    raise UserError(f"{path}: {where}{found}; found {', '.join(known) or 'none'}")


def _refuse_key(path: Path, key: str) -> None:
    if key:
        raise UserError(f"{path}: key: found {key!r}, expected none: a {path.suffix} holds one array")


_READERS = {".mat": _read_mat, ".npy": _read_npy, ".npz": _read_npz, ".tif": _read_tiff, ".tiff": _read_tiff}
SUFFIXES = tuple(_READERS)

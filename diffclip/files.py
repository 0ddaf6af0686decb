"""Writing files so that a crash never leaves half of one, and reading those that the suite wrote."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from diffclip.errors import DamagedFileError

_UNREADABLE = (OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> Path:
    """Let `write` fill a temporary file in the same folder, then rename it to `path`; return `path`.

    A reader sees the old file or the whole new one, whatever happens in between.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _copy_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.kept")


def keep(path: Path) -> None:
    """Copy a finished file beside itself: Snakemake removes what a job has made, finished or not, when the job dies."""
    write_atomically(_copy_of(path), lambda file: file.write(path.read_bytes()))


def put_back(path: Path) -> bool:
    """Let `path` be the copy that a job that died has kept; return whether there is one."""
    found = _copy_of(path).is_file()
    if found:
        _copy_of(path).replace(path)
    return found


def forget(path: Path) -> None:
    """Remove the copy, once its job has ended well."""
    _copy_of(path).unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DamagedFileError: no such file, or no object in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFileError(path, error) from None
    if not isinstance(found, dict):
        raise DamagedFileError(path, f"found {type(found).__name__}, expected an object")
    return found


def read_array(path: Path, *, mapped_above: float = float("inf")) -> np.ndarray:
    """Return the array in an .npy file, mapped where the file has more bytes than `mapped_above`.

    Raises:
        DamagedFileError: no such file, or no whole array in it.
    """
    try:
        with path.open("rb") as file:
            # NumPy would take any other file for a pickle.
            if file.read(6) != b"\x93NUMPY":
                raise ValueError("found no .npy file")
        return np.load(path, mmap_mode="r" if path.stat().st_size > mapped_above else None)
    except _UNREADABLE as error:
        raise DamagedFileError(path, error) from None


def read_arrays(path: Path, *keys: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file: these, or all.

    Raises:
        DamagedFileError: no such file, no whole .npz file, or one without one of the arrays.
    """
    try:
        # NumPy would take any other file for a pickle.
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ValueError("found no whole .npz file")
        with np.load(path) as stored:
            return {key: stored[key] for key in keys or stored.files}
    except _UNREADABLE as error:
        raise DamagedFileError(path, error) from None

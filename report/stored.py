"""Files of a study as they are stored: a damaged one is one clear error that says how to go on."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffclip.errors import UserError

# What numpy, pandas, json and gzip raise where a file is not whole or not theirs.
DAMAGED = (OSError, EOFError, KeyError, ValueError, TypeError, zlib.error, zipfile.BadZipFile)


def read_json(path: Path, again: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        path: the file.
        again: how to go on where it is damaged.

    Raises:
        UserError: no such file, or not an object.
    """
    try:
        found = json.loads(path.read_bytes())
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read: {error}; {again}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: found {type(found).__name__}, expected an object; {again}")
    return found


def read_array(path: Path, again: str, mapped: bool = False) -> np.ndarray:
    """Return the array in an .npy file; `mapped`: it stays on disk until it is looked at.

    Raises:
        UserError: no such file, or no array.
    """
    try:
        _expect(path, b"\x93NUMPY", ".npy")
        return np.load(path, mmap_mode="r" if mapped else None)
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read: {error}; {again}") from None


def read_arrays(path: Path, again: str, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of these keys in an .npz file, or all of them.

    Raises:
        UserError: no such file, not arrays, or a key is missing.
    """
    try:
        _expect(path, b"PK", ".npz")
        with np.load(path) as stored:
            return {key: stored[key] for key in (stored.files if keys is None else keys)}
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read: {error}; {again}") from None


def _expect(path: Path, start: bytes, kind: str) -> None:
    """See that a file starts as its kind does: NumPy takes any other for something unsafe, and says how to run it."""
    with path.open("rb") as file:
        found = file.read(len(start))
    if found != start:
        raise ValueError(f"found {found!r} at its start, expected {start!r} as in every {kind} file")


def read_table(path: Path, kinds: Mapping[str, str], again: str) -> pd.DataFrame:
    """Return a CSV file, maybe compressed.

    Args:
        path: the file.
        kinds: of values, by column that it must have; an empty text is no number.
        again: how to go on where it is damaged.

    Raises:
        UserError: not such a file, half of one, or one of other columns.
    """
    empty = {column: [""] for column, kind in kinds.items() if kind == "float64"}
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found = pd.read_csv(io.BytesIO(data), nrows=0).columns
        for column in kinds:
            if column not in found:
                raise ValueError(f"column {column!r} is missing")
        if not data.endswith(b"\n"):
            raise ValueError("its last line is not whole")
        return pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=empty, dtype=kinds)
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read: {error}; {again}") from None

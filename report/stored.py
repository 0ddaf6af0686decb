"""Files of a study as they are stored: a damaged one is one clear error that says how to go on."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffclip import files
from diffclip.errors import DamagedFileError, UserError

# What pandas and gzip raise where a file is not whole or not theirs.
DAMAGED = (OSError, EOFError, ValueError, TypeError, zlib.error)


def read_json(path: Path, again: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        path: the file.
        again: how to go on where it is damaged.

    Raises:
        UserError: no such file, or not an object.
    """
    with _told(again):
        return files.read_json(path)


def read_record(study: Path, path: str) -> dict[str, Any]:
    """Return the record at a path within a study's folder, as `runs.csv` names it.

    Raises:
        UserError: no such record, or a damaged one.
    """
    if not (study / path).is_file():
        raise UserError(f"{study / path}: not found; the study's command without a target makes missing runs again")
    return read_json(study / path, f"make runs.csv again with 'python -m report runs --study {study}'")


def read_array(path: Path, again: str, mapped: bool = False) -> np.ndarray:
    """Return the array in an .npy file; `mapped`: it stays on disk until it is looked at.

    Raises:
        UserError: no such file, or no array.
    """
    with _told(again):
        return files.read_array(path, mapped_above=-1 if mapped else math.inf)


def read_arrays(path: Path, again: str, keys: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of these keys in an .npz file, or all of them.

    Raises:
        UserError: no such file, not arrays, or a key is missing.
    """
    with _told(again):
        return files.read_arrays(path, *keys)


@contextmanager
def _told(again: str) -> Iterator[None]:
    """Say of a damaged file how to go on."""
    try:
        yield
    except DamagedFileError as error:
        raise UserError(f"{error.path}: cannot be read: {error.reason}; {again}") from None


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

"""Class embeddings in a file: made where CLIP weights are at hand, used where they are not."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from diffclip.errors import UserError, did_you_mean
from diffclip.files import write_atomically
from diffclip.language.weights import named_file, no_such_file


def write_embeddings(
    path: Path, names: Sequence[str], embeddings: Float[np.ndarray, "N D"], weights: str, prompts: Sequence[str]
) -> None:
    """Write embeddings of N classes.

    Args:
        path: an .npz file.
        names: of the classes.
        embeddings: one row per class.
        weights: what made them, as `weights_name` says it.
        prompts: the prompt sets that they are the mean of.
    """
    said = {"names": np.array(names), "weights": np.array(weights), "prompts": np.array(prompts)}
    write_atomically(path, lambda file: np.savez_compressed(file, embeddings=embeddings, allow_pickle=False, **said))


def read_embeddings(path: Path, class_names: Sequence[str]) -> Float32[np.ndarray, "K D"]:
    """Return the embeddings of classes, looked up by name.

    Args:
        path: an .npz file with `names` (N strings) and `embeddings` (N, D); relative to the working folder.
        class_names: K names.

    Raises:
        UserError: no such file, a key or class is missing, shapes or values are not what is expected.
    """
    stored = _arrays(path)
    for key, expected in (("names", "the names of N classes"), ("embeddings", "numbers of shape (N, D)")):
        if key not in stored:
            raise UserError(f"{path}: {key}: missing{did_you_mean(key, stored)}; expected {expected}")
    names, embeddings = stored["names"], stored["embeddings"]
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names.tolist())) < len(names):
        raise UserError(f"{path}: names: found {names.dtype} of shape {names.shape}, expected N different strings")
    if embeddings.dtype.kind != "f" or embeddings.ndim != 2 or len(embeddings) != len(names):
        found = f"{embeddings.dtype} of shape {embeddings.shape}"
        raise UserError(f"{path}: embeddings: found {found}, expected floats of shape ({len(names)}, D)")
    rows = {str(name): row for row, name in enumerate(names)}
    missing = [name for name in class_names if name not in rows]
    if missing:
        hint = did_you_mean(missing[0], rows)
        wanted = ", ".join(map(repr, missing))
        raise UserError(f"{path}: names: found {', '.join(rows)}; expected {wanted} as well{hint}")
    chosen = embeddings[[rows[name] for name in class_names]].astype(np.float32)
    for name, row in zip(class_names, chosen, strict=True):
        if not (np.isfinite(row).all() and row.any()):
            kind = "zeros only" if np.isfinite(row).all() else "values that are not finite"
            raise UserError(
                f"{path}: embeddings: found {kind} for {name!r}, expected finite numbers, not all of them 0"
            )
    return chosen


def embeddings_name(path: Path) -> str:
    """Return "file: WEIGHTS (0123456789ab)", with what the file says of its weights and the start of its checksum.

    Raises:
        UserError: no such file, or not an .npz file.
    """
    checksum = named_file(path).rpartition(" ")[2]
    return f"file: {_arrays(path).get('weights', 'weights unknown')} {checksum}"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as stored:
            return dict(stored)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: found no .npz file of plain arrays ({error}), expected names and embeddings"
        ) from None

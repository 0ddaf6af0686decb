"""How CLIP weights are named, in records and on the command line; known without loading any."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from diffclip.errors import UserError

RANDOM = "random"
_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")


def is_file(weights: str) -> bool:
    """Return whether weights are asked for as a file: by a folder or a suffix in their name, which no tag has."""
    return Path(weights).suffix in _SUFFIXES or "/" in weights


def weights_name(model: str, weights: str) -> str:
    """Return "random", "ViT-B-32/openai" for a tag, or "model.pt (0123456789ab)" for a local file.

    Args:
        model: open_clip's name of an architecture.
        weights: open_clip's tag, the path of a local file, or "random".

    Raises:
        UserError: no such file.
    """
    if weights == RANDOM:
        return RANDOM
    return named_file(Path(weights)) if is_file(weights) else f"{model}/{weights}"


def named_file(path: Path) -> str:
    """Return a file's name with the first 12 digits of its SHA-256.

    Raises:
        UserError: no such file.
    """
    if not path.is_file():
        raise no_such_file(path)
    found = path.stat()
    return f"{path.name} ({_sha256(path, found.st_mtime_ns, found.st_size)[:12]})"


def no_such_file(path: Path) -> UserError:
    """Return the error that says where a file was looked for."""
    return UserError(f"{path}: no such file" + ("" if path.is_absolute() else f" below {Path.cwd()}"))


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    # Half a gigabyte takes a second and every record asks for it; a file that changed has another key.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""How CLIP weights are named, in records and on the command line; known without loading any."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from diffclip.errors import UserError

RANDOM = "random"
EMBEDDED = "embedded"  # a small CLIP that the suite trains itself, see diffclip/embedded
# How open_clip lays out a folder that holds a model whole.
FOLDER_CONFIG, FOLDER_WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")


def is_file(weights: str) -> bool:
    """Return whether weights are asked for as a file: by a folder or a suffix in their name, which no tag has."""
    return Path(weights).suffix in _SUFFIXES or "/" in weights


def weights_name(model: str, weights: str) -> str:
    """Return "random", "embedded", "ViT-B-32/openai" for a tag, or "model.pt (0123456789ab)" for a local file.

    A folder that holds the embedded CLIP is "embedded (0123456789ab)".

    Args:
        model: open_clip's name of an architecture.
        weights: open_clip's tag, the path of a local file or of a folder in open_clip's format, "random", "embedded".

    Raises:
        UserError: no such file.
    """
    if weights in (RANDOM, EMBEDDED):
        return weights
    if not is_file(weights):
        return f"{model}/{weights}"
    path = Path(weights)
    if not path.is_dir():
        return named_file(path)
    checksum = named_file(path / FOLDER_WEIGHTS).rpartition(" ")[2]
    return f"{EMBEDDED if _is_embedded(path) else path.name} {checksum}"


def _is_embedded(folder: Path) -> bool:
    """Return whether a folder in open_clip's format holds the embedded CLIP, whatever its name."""
    config = folder / FOLDER_CONFIG
    return config.is_file() and json.loads(config.read_text()).get("made_as") == EMBEDDED


def located(weights: str, embedded: Path | None) -> str:
    """Return weights as `load_clip` takes them: "embedded" becomes the folder where that CLIP lies.

    Args:
        weights: as the options name them.
        embedded: the folder of the embedded CLIP, as the task knows it.

    Raises:
        UserError: the embedded CLIP is asked for and not there.
    """
    if weights != EMBEDDED:
        return weights
    if embedded is None:
        raise UserError(
            "clip_weights: found embedded and no embedded CLIP in the task; expected the folder that "
            "'diffclip embedded-clip' writes, as embedded_clip of the task or as clip_weights"
        )
    return str(embedded)


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

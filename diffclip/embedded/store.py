"""Where the embedded CLIP lies: a folder in open_clip's format with a log, kept while its sources stay the same."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from diffclip.device import device_name
from diffclip.embedded.recipe import ARCHITECTURE, Recipe
from diffclip.errors import UserError
from diffclip.files import read_json, write_atomically
from diffclip.language.weights import FOLDER_CONFIG, FOLDER_WEIGHTS
from diffclip.protocol import provenance
from diffclip.protocol.checkpoints import Checkpoint, vouched_for
from diffclip.protocol.sources import sources_sha256
from diffclip.scene.card import SceneCard, SimulatedCard

log = logging.getLogger(__name__)

MODULE = "diffclip.embedded.training"


def log_in(folder: Path) -> Path:
    """Return the file that says how the embedded CLIP in `folder` was made and what it knows."""
    return folder / "log.json"


def measured_in(folder: Path) -> dict[str, Any]:
    """Return what was measured when the embedded CLIP in `folder` was made: loss, parameters, zero-shot accuracy."""
    return read_json(log_in(folder))["measured"]


def refuse_seen(card: SceneCard, recipe: Recipe | None = None) -> None:
    """Refuse to test on a scene that the embedded CLIP learned from.

    Raises:
        UserError: the card's simulated scene has the seed of one that was learned from.
    """
    seen = (recipe or Recipe()).scenes
    if isinstance(card, SimulatedCard) and card.simulate.seed in seen:
        raise UserError(
            f"{card.file}: simulate.seed: found {card.simulate.seed}, whose scene the embedded CLIP learned from; "
            f"expected a seed outside {min(seen)}..{max(seen)}"
        )


def _fingerprint(recipe: Recipe) -> str:
    return provenance.sha256_of(
        {"architecture": ARCHITECTURE, "recipe": asdict(recipe), "sources": sources_sha256([MODULE])}
    )


def find_embedded_clip(folder: Path, recipe: Recipe) -> Checkpoint | None:
    """Return the embedded CLIP in `folder` if it is there whole and was decided by just these settings and sources."""
    files = [folder / name for name in (FOLDER_CONFIG, FOLDER_WEIGHTS)]
    if not all(path.is_file() for path in (*files, log_in(folder))):
        return None
    return vouched_for(files[1], log_in(folder), _fingerprint(recipe))


def make_embedded_clip(folder: Path, *, device: str, recipe: Recipe | None = None) -> Checkpoint:
    """Return the embedded CLIP in `folder`, training it first unless it is there and up to date.

    Args:
        folder: receives open_clip_config.json, open_clip_model.safetensors and log.json.
        device: "cpu" or "cuda".
        recipe: how to train it; default: the suite's.
    """
    recipe = recipe or Recipe()
    found = find_embedded_clip(folder, recipe)
    if found:
        log.info("%s is up to date", folder)
        return found
    from diffclip.embedded.training import train

    folder.mkdir(parents=True, exist_ok=True)
    # While the weights are being written no log vouches for them.
    log_in(folder).unlink(missing_ok=True)
    # Before, because a source may change meanwhile.
    fingerprint, start = _fingerprint(recipe), time.perf_counter()
    measured = train(folder, recipe, device)
    made = Checkpoint(folder / FOLDER_WEIGHTS, fingerprint, time.perf_counter() - start)
    story = {
        "fingerprint": made.fingerprint,
        "sha256": made.sha256,
        "seconds": made.seconds,
        "device": device,
        "device_name": device_name(device),
        "recipe": asdict(recipe),
        "packages": provenance.packages(),
        "created": provenance.now(),
        "measured": measured,
    }
    text = json.dumps(story, indent=1) + "\n"
    write_atomically(log_in(folder), lambda file: file.write(text.encode()))
    return made

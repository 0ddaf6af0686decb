"""Checkpoints of stage 1: made once for a scene, settings and a seed, shared by every cell that needs them."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from diffclip.device import device_name
from diffclip.files import write_atomically
from diffclip.protocol import provenance
from diffclip.protocol.method import Pretraining
from diffclip.protocol.sources import sources_sha256
from diffclip.scene.scene import Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Pretrained weights and what is known of them.

    Attributes:
        path: the weights (.safetensors).
        fingerprint: checksum of what decided them: settings, scene, seed, sources; not the device.
        seconds: what they cost to make.
    """

    path: Path
    fingerprint: str
    seconds: float

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def checkpoint_name(pretraining: Pretraining) -> str:
    """Return the folder's name of a pretraining: what it is, and a short checksum of its settings."""
    digest = provenance.sha256_of({"function": pretraining.function, "settings": dict(pretraining.settings)})
    return f"{pretraining.name}_{digest[:8]}"


def pretraining_module(pretraining: Pretraining) -> str:
    """Return the module whose source decides the checkpoint."""
    return pretraining.function.partition(":")[0]


def _fingerprint(pretraining: Pretraining, scene_sha256: str, seed: int) -> str:
    return provenance.sha256_of(
        {
            "function": pretraining.function,
            "settings": dict(pretraining.settings),
            "scene": scene_sha256,
            "seed": seed,
            "sources": sources_sha256([pretraining_module(pretraining)]),
        }
    )


def log_of(path: Path) -> Path:
    """Return the file beside a checkpoint that says how it was made."""
    return path.with_suffix(".log.json")


def find_checkpoint(pretraining: Pretraining, scene_sha256: str, seed: int, path: Path) -> Checkpoint | None:
    """Return the checkpoint at `path` if it is there and was decided by just these settings, scene and sources."""
    if not (path.is_file() and log_of(path).is_file()):
        return None
    found = json.loads(log_of(path).read_text())
    if found["fingerprint"] != _fingerprint(pretraining, scene_sha256, seed):
        return None
    return Checkpoint(path, found["fingerprint"], found["seconds"])


def make_checkpoint(pretraining: Pretraining, scene: Scene, seed: int, path: Path, *, device: str) -> Checkpoint:
    """Return the checkpoint at `path`, making it first unless it is there and up to date.

    Beside it lies a log (JSON): settings, seconds, what the pretraining measured, and where it comes from.
    """
    found = find_checkpoint(pretraining, scene.sha256, seed, path)
    if found:
        log.info("%s is up to date", path)
        return found
    module, _, name = pretraining.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # While the weights are being written no log vouches for them.
    log_of(path).unlink(missing_ok=True)
    start = time.perf_counter()
    measured: dict[str, Any] = function(scene.imagery, pretraining.settings, seed=seed, device=device, path=path)
    seconds = time.perf_counter() - start
    fingerprint = _fingerprint(pretraining, scene.sha256, seed)
    story = {
        "fingerprint": fingerprint,
        "seconds": seconds,
        "device": device,
        "device_name": device_name(device),
        "settings": dict(pretraining.settings),
        "scene_sha256": scene.sha256,
        "seed": seed,
        "packages": provenance.packages(),
        "created": provenance.now(),
        "measured": measured,
    }
    text = json.dumps(story, indent=1) + "\n"
    write_atomically(log_of(path), lambda file: file.write(text.encode()))
    return Checkpoint(path, fingerprint, seconds)

"""Checkpoints of stage 1: made once for a scene, settings and a seed, shared by every cell that needs them."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

from diffclip.device import device_name
from diffclip.errors import DamagedFileError, UserError
from diffclip.files import forget, keep, put_back, read_json, write_atomically
from diffclip.protocol import provenance
from diffclip.protocol.method import Pretraining
from diffclip.protocol.sources import sources_sha256
from diffclip.protocol.stopwatch import stopwatch
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


def _fingerprint(pretraining: Pretraining, scene_sha256: str, seed: int, seeds_at_once: int | None) -> str:
    decided: dict[str, Any] = {
        "function": pretraining.function,
        "settings": dict(pretraining.settings),
        "scene": scene_sha256,
        "seed": seed,
        "sources": sources_sha256([pretraining_module(pretraining)]),
    }
    if seeds_at_once is not None and pretraining.many is not None:
        decided["seeds_at_once"] = seeds_at_once
    return provenance.sha256_of(decided)


def log_of(path: Path) -> Path:
    """Return the file beside a checkpoint that says how it was made."""
    return path.with_suffix(".log.json")


def find_checkpoint(
    pretraining: Pretraining, scene_sha256: str, seed: int, path: Path, seeds_at_once: int | None = None
) -> Checkpoint | None:
    """Return the checkpoint at `path` if it is there and was decided by just these settings, scene and sources."""
    if not (path.is_file() and log_of(path).is_file()):
        return None
    return vouched_for(path, log_of(path), _fingerprint(pretraining, scene_sha256, seed, seeds_at_once))


def vouched_for(weights: Path, story: Path, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint whose log (JSON) tells of this fingerprint and of just these weights.

    Damaged files are warned of by name: the checkpoint is to be made again.
    """
    try:
        found = read_json(story)
        if missing := {"fingerprint", "seconds", "sha256"} - found.keys():
            raise DamagedFileError(story, f"found no {min(missing)}")
        if found["fingerprint"] != fingerprint:
            return None
        checkpoint = Checkpoint(weights, found["fingerprint"], found["seconds"])
        if found["sha256"] != checkpoint.sha256:
            raise DamagedFileError(weights, f"found other weights than those that {story.name} tells of")
    except DamagedFileError as error:
        log.warning(error.again)
        return None
    return checkpoint


def make_checkpoints(
    pretraining: Pretraining,
    scene: Scene,
    seeds: Sequence[int],
    paths: Sequence[Path],
    *,
    device: str,
    seeds_at_once: int | None = None,
) -> list[Checkpoint]:
    """Return the checkpoints of several seeds; those that are missing or stale are made, together where they can be.

    Beside each lies a log (JSON): settings, seconds, what the pretraining measured, and where it comes from.

    Args:
        pretraining: what to make.
        scene: to learn from.
        seeds: one per checkpoint.
        paths: where each lies.
        device: "cpu" or "cuda".
        seeds_at_once: how many seeds were asked to be trained as one model, see `Run`.
    """
    found = {
        seed: find_checkpoint(pretraining, scene.sha256, seed, path, seeds_at_once)
        for seed, path in zip(seeds, paths, strict=True)
    }
    for seed, path in zip(seeds, paths, strict=True):
        # A job that died may have left it, and Snakemake an older one in its place or none.
        if found[seed] is None and put_back(path) and put_back(log_of(path)):
            found[seed] = find_checkpoint(pretraining, scene.sha256, seed, path, seeds_at_once)
    missing = {seed: path for seed, path in zip(seeds, paths, strict=True) if found[seed] is None}
    for path in missing.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        # While the weights are being written no log vouches for them.
        log_of(path).unlink(missing_ok=True)
    if pretraining.many is not None and len(missing) > 1:
        try:
            found |= _made(pretraining, scene, missing, device, seeds_at_once)
            missing = {}
        except UserError:
            raise
        except Exception:
            log.exception("pretraining %d seeds together failed; they are pretrained one by one", len(missing))
    for seed, path in missing.items():
        found |= _made(pretraining, scene, {seed: path}, device, seeds_at_once)
    return [checkpoint for checkpoint in found.values() if checkpoint is not None]


def _made(
    pretraining: Pretraining, scene: Scene, paths: dict[int, Path], device: str, seeds_at_once: int | None
) -> dict[int, Checkpoint]:
    """Pretrain one seed, or several as one training, and write their logs."""
    with stopwatch() as passed:
        if len(paths) > 1 and pretraining.many is not None:
            measured = _named(pretraining.many)(
                scene.imagery, pretraining.settings, seeds=list(paths), device=device, paths=list(paths.values())
            )
        else:
            ((seed, path),) = paths.items()
            function = _named(pretraining.function)
            measured = [function(scene.imagery, pretraining.settings, seed=seed, device=device, path=path)]
        seconds = passed() / len(paths)
    made = {}
    for (seed, path), curves in zip(paths.items(), measured, strict=True):
        fingerprint = _fingerprint(pretraining, scene.sha256, seed, seeds_at_once)
        made[seed] = Checkpoint(path, fingerprint, seconds)
        story = {
            "fingerprint": fingerprint,
            "sha256": made[seed].sha256,
            "seconds": seconds,
            "seeds_together": len(paths),
            "device": device,
            "device_name": device_name(device),
            "settings": dict(pretraining.settings),
            "scene_sha256": scene.sha256,
            "seed": seed,
            "packages": provenance.packages(),
            "created": provenance.now(),
            "measured": curves,
        }
        text = json.dumps(story, indent=1) + "\n"
        write_atomically(log_of(path), partial(_write, text))
        for file in (path, log_of(path)):
            keep(file)
    return made


def forget_checkpoint(path: Path) -> None:
    """Remove the copies of a checkpoint and its log, see `diffclip.files.keep`."""
    for file in (path, log_of(path)):
        forget(file)


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _named(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)

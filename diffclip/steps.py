"""The steps of a study, one after another: prepared scene, split, checkpoint, run.

Each step makes the files of its stage below the study's folder and does nothing when they are there and up to date,
so that the workflow and `diffclip run` share one way of doing things.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method
from diffclip.protocol.checkpoints import Checkpoint, checkpoint_name, make_checkpoint
from diffclip.protocol.evaluation import Run, make_run
from diffclip.protocol.method import Pretraining
from diffclip.protocol.provenance import sha256_of
from diffclip.protocol.records import Identity, Record, read_record
from diffclip.protocol.sources import sources_sha256
from diffclip.protocol.splits import Split, draw_split, read_split, save_split
from diffclip.scene.card import load_card
from diffclip.scene.load import load_scene
from diffclip.scene.scene import Scene
from diffclip.scene.store import open_scene, save_scene
from diffclip.study import layout
from diffclip.study.cells import Cell, ProtocolName

log = logging.getLogger(__name__)

OnSmallClass = Literal["error", "skip"]


def prepare_scene(name: str, root: Path) -> Scene:
    """Return the scene of a card; load or simulate it and write it below `root` unless it is there and up to date.

    Up to date means: made from the same card by the same sources. A changed data file under an unchanged card is not
    seen; remove the prepared scene to read it again.
    """
    card = load_card(name)
    path, picture = (root / template.format(scene=card.name) for template in (layout.SCENE, layout.QUICKLOOK))
    sources = sources_sha256(["diffclip.scene.load"])
    origin = sha256_of({"card": card.model_dump(mode="json"), "sources": sources})
    if path.is_file() and json.loads(path.read_text()).get("origin") == origin:
        scene = open_scene(path.parent)
    else:
        scene = load_scene(card)
        save_scene(scene, path.parent, origin)
        picture.unlink(missing_ok=True)
    if not picture.is_file():
        # Only here, because it takes matplotlib, which most jobs do without.
        from diffclip.scene.quicklook import quicklook

        quicklook(scene, picture)
    return scene


def make_split(
    scene: Scene,
    protocol: ProtocolName,
    shots: int,
    seed: int,
    root: Path,
    *,
    margin: int,
    on_small_class: OnSmallClass = "error",
) -> Split:
    """Draw a split and write it below `root`; the file changes only if the split does."""
    split = draw_split(scene, protocol, shots, seed, margin=margin, on_small_class=on_small_class)
    path = root / layout.SPLIT.format(scene=scene.name, protocol=protocol, shots=shots, seed=seed)
    if not (path.is_file() and read_split(path).sha256 == split.sha256):
        save_split(split, path)
    return split


def make_pretraining(pretraining: Pretraining, scene: Scene, seed: int, root: Path, *, device: str) -> Checkpoint:
    """Return the checkpoint of a pretraining, made below `root` unless it is there and up to date."""
    name = checkpoint_name(pretraining)
    path = root / layout.CHECKPOINT.format(scene=scene.name, checkpoint=name, seed=seed)
    return make_checkpoint(pretraining, scene, seed, path, device=device)


def run_cell(
    cell: Cell,
    seeds: Iterable[int],
    root: Path,
    *,
    options: Mapping[str, Any],
    margin: int,
    on_small_class: OnSmallClass = "error",
    device: str = "cpu",
    card: str | None = None,
) -> list[Record]:
    """Make the records of all seeds of a cell below `root`; finished ones that are up to date are kept.

    Args:
        cell: what to run.
        seeds: which draws.
        root: the study's folder.
        options: of the method, beyond those of its variant.
        margin: that `strict` keeps between training and test pixels.
        on_small_class: what becomes of classes too small for the shots.
        device: "cpu" or "cuda".
        card: name or path of the scene's card; default: the cell's scene.

    Raises:
        UserError: wrong input; a method that fails otherwise leaves a record that says why, and the next seed goes on.
    """
    scene = prepare_scene(card or cell.scene, root)
    records = []
    for seed in seeds:
        method = make_method(cell.method, cell.variant, options)
        split = make_split(scene, cell.protocol, cell.shots, seed, root, margin=margin, on_small_class=on_small_class)
        pretraining = method.pretraining(cell.window, cell.mask_ratio)
        checkpoint = make_pretraining(pretraining, scene, seed, root, device=device) if pretraining else None
        run = Run(Identity(**asdict(cell), seed=seed), method, scene, split, device, checkpoint)
        records.append(_record(run, root / cell.record(seed)))
    return records


def _record(run: Run, path: Path) -> Record:
    kept = _finished(run, path)
    if kept is not None:
        log.info("%s is up to date", path)
        return kept
    record = make_run(run, path)
    if record.metrics is None:
        log.error("%s: failed: %s", path, record.reason)
    else:
        log.info("%s: OA %.2f, AA %.2f, kappa %.2f", path, record.metrics.oa, record.metrics.aa, record.metrics.kappa)
    return record


def _finished(run: Run, path: Path) -> Record | None:
    """Return the record at `path` if that run was finished with just what decides it now; failed runs are not."""
    predictions = path.with_suffix(".npz")
    if not (path.is_file() and predictions.is_file()):
        return None
    try:
        record = read_record(path)
    except UserError as error:
        log.warning("%s; the run is made again", error)
        return None
    if record.status != "ok" or record.fingerprint != run.fingerprint:
        return None
    return record

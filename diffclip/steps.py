"""The steps of a study, one after another: prepared scene, split, checkpoint, run.

Each step makes the files of its stage below the study's folder and does nothing when they are there and up to date,
so that the workflow and `diffclip run` share one way of doing things.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffclip.device import seeds_at_once as seeds_that_suit
from diffclip.embedded.store import make_embedded_clip, refuse_seen
from diffclip.errors import DamagedFileError, UserError
from diffclip.files import forget, keep, put_back, write_atomically
from diffclip.language.weights import EMBEDDED
from diffclip.protocol.catalogue import make_method
from diffclip.protocol.checkpoints import Checkpoint, checkpoint_name, forget_checkpoint, make_checkpoints
from diffclip.protocol.evaluation import Run, make_runs
from diffclip.protocol.method import Pretraining
from diffclip.protocol.outside import Outside, check_task, export_imagery, export_task
from diffclip.protocol.provenance import sha256_of
from diffclip.protocol.records import Identity, Record, read_predictions, read_record
from diffclip.protocol.sources import sources_sha256
from diffclip.protocol.splits import Split, draw_split, read_split, save_split
from diffclip.randomness import rng
from diffclip.scene.card import load_card
from diffclip.scene.load import load_scene
from diffclip.scene.scene import PixelIndex, Scene
from diffclip.scene.store import open_scene, read_summary, save_scene
from diffclip.study import layout
from diffclip.study.cells import Cell, ProtocolName

log = logging.getLogger(__name__)

OnSmallClass = Literal["error", "skip"]
# Enough to see clusters; few enough for a file below 2 MB.
MOST_INSPECTED = 1000


def prepare_scene(name: str, root: Path) -> Scene:
    """Return the scene of a card; load or simulate it and write it below `root` unless it is there and up to date.

    Up to date means: made from the same card by the same sources. A changed data file under an unchanged card is not
    seen; remove the prepared scene to read it again.
    """
    card = load_card(name)
    path, picture = (root / template.format(scene=card.name) for template in (layout.SCENE, layout.QUICKLOOK))
    sources = sources_sha256(["diffclip.scene.load"])
    origin = sha256_of({"card": card.model_dump(mode="json"), "sources": sources})
    scene = _prepared(path, origin)
    if scene is None:
        scene = load_scene(card)
        save_scene(scene, path.parent, origin)
        picture.unlink(missing_ok=True)
    if not picture.is_file():
        # Only here, because it takes matplotlib, which most jobs do without.
        from diffclip.scene.quicklook import quicklook

        quicklook(scene, picture)
    return scene


def _prepared(path: Path, origin: str) -> Scene | None:
    """Return the prepared scene of a `scene.json` if it was made from this origin and can be read."""
    try:
        if path.is_file() and read_summary(path.parent).get("origin") == origin:
            return open_scene(path.parent)
    except DamagedFileError as error:
        log.warning(error.again)
    return None


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
    try:
        kept = path.is_file() and read_split(path).sha256 == split.sha256
    except DamagedFileError as error:
        log.warning(error.again)
        kept = False
    if not kept:
        save_split(split, path)
    return split


def pretraining_scene(pretraining: Pretraining, tested: Scene, root: Path) -> Scene:
    """Return the scene that a checkpoint learns from: the tested one, or another, which is prepared below `root`."""
    if pretraining.scene in (None, tested.name):
        return tested
    return prepare_scene(pretraining.scene, root)


def make_pretraining(
    pretraining: Pretraining,
    scene: Scene,
    seeds: Sequence[int],
    root: Path,
    *,
    device: str,
    seeds_at_once: int | None = None,
) -> list[Checkpoint]:
    """Return the checkpoints of a pretraining on a scene, made below `root` unless they are there and up to date.

    Args:
        pretraining: what to make.
        scene: to learn from.
        seeds: one checkpoint each.
        root: the study's folder.
        device: "cpu" or "cuda".
        seeds_at_once: how many seeds are trained as one model; None: what suits the device.
    """
    name = checkpoint_name(pretraining)
    made: list[Checkpoint] = []
    for group in _groups(seeds, seeds_that_suit(seeds_at_once, device) if pretraining.many else 1):
        paths = [root / layout.CHECKPOINT.format(scene=scene.name, checkpoint=name, seed=seed) for seed in group]
        made += make_checkpoints(pretraining, scene, group, paths, device=device, seeds_at_once=seeds_at_once)
    for checkpoint in made:
        forget_checkpoint(checkpoint.path)
    return made


def _groups(seeds: Sequence[int], size: int) -> list[Sequence[int]]:
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def run_cell(
    cell: Cell,
    seeds: Sequence[int],
    root: Path,
    *,
    options: Mapping[str, Any],
    margin: int,
    on_small_class: OnSmallClass = "error",
    device: str = "cpu",
    card: str | None = None,
    seeds_at_once: int | None = None,
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
        seeds_at_once: how many seeds are trained as one model, by methods that can; None: what suits the device.

    Raises:
        UserError: wrong input; a method that fails otherwise leaves a record that says why, and the next seed goes on.
    """
    joins = make_method(cell.method, cell.variant, options).joins_seeds
    groups = _groups(seeds, seeds_that_suit(seeds_at_once, device) if joins else 1)
    found = _runs(cell, groups, root, options, margin, on_small_class, device, card, seeds_at_once)
    records = [record for runs in found for record in _records(runs, root)]
    for record in records:
        forget(root / cell.record(record.identity.seed))
    return records


def _runs(
    cell: Cell,
    groups: Sequence[Sequence[int]],
    root: Path,
    options: Mapping[str, Any],
    margin: int,
    on_small_class: OnSmallClass,
    device: str,
    card: str | None,
    seeds_at_once: int | None,
) -> Iterator[list[Run]]:
    """Yield the runs of each group of seeds, their splits and checkpoints made first; arguments as for `run_cell`."""
    scene = prepare_scene(card or cell.scene, root)
    pretraining = make_method(cell.method, cell.variant, options).pretraining(cell.window, cell.mask_ratio)
    source = pretraining_scene(pretraining, scene, root) if pretraining else scene
    embedded_clip = _embedded_clip(cell, root, options, device, card)
    for seeds in groups:
        checkpoints: Sequence[Checkpoint | None] = [None] * len(seeds)
        if pretraining:
            checkpoints = make_pretraining(pretraining, source, seeds, root, device=device, seeds_at_once=seeds_at_once)
        runs = []
        for seed, checkpoint in zip(seeds, checkpoints, strict=True):
            method = make_method(cell.method, cell.variant, options)
            split = make_split(
                scene, cell.protocol, cell.shots, seed, root, margin=margin, on_small_class=on_small_class
            )
            identity = Identity(**asdict(cell), seed=seed)
            runs.append(
                Run(
                    identity,
                    method,
                    scene,
                    split,
                    device,
                    checkpoint,
                    seeds_at_once,
                    embedded_clip=embedded_clip,
                    answers=_answers(cell, seed, split, root) if isinstance(method, Outside) else None,
                    cache=root / layout.CACHE,
                )
            )
        yield runs


def _embedded_clip(
    cell: Cell, root: Path, options: Mapping[str, Any], device: str, card: str | None
) -> Checkpoint | None:
    """Return the embedded CLIP where a cell takes its weights, trained first; it must not know the tested scene."""
    if make_method(cell.method, cell.variant, options).clip_weights != EMBEDDED:
        return None
    refuse_seen(load_card(card or cell.scene))
    return make_embedded_clip(root / layout.EMBEDDED_CLIP, device=device)


def _answers(cell: Cell, seed: int, split: Split, root: Path) -> Path:
    """Return what a program outside of the suite wrote for a run, and for its very split."""
    path = root / layout.ANSWERS.format(**cell.wildcards(), program=cell.variant, seed=seed)
    if not path.is_file():
        raise UserError(
            f"{path}: no such answers; expected a rule in workflow/outside that makes them for the program "
            f"{cell.variant} (docs/add-a-baseline.md)"
        )
    check_task(root / layout.TASK.format(**cell.wildcards(), seed=seed), split, path)
    return path


def export_tasks(
    scene: Scene,
    protocol: ProtocolName,
    shots: int,
    seeds: Sequence[int],
    root: Path,
    *,
    margin: int,
    on_small_class: OnSmallClass = "error",
) -> list[Path]:
    """Write the tasks of some seeds for programs outside of the suite, and the imagery beside; return their paths."""
    export_imagery(scene.imagery, root / layout.TASK_IMAGERY.format(scene=scene.name))
    paths = []
    for seed in seeds:
        split = make_split(scene, protocol, shots, seed, root, margin=margin, on_small_class=on_small_class)
        identity = Identity(**asdict(Cell(scene.name, protocol, "outside", "default", shots)), seed=seed)
        task = Run(identity, Outside(), scene, split).task
        path = root / layout.TASK.format(scene=scene.name, protocol=protocol, shots=shots, seed=seed)
        paths.append(export_task(task, split, path))
    return paths


def inspect_run(
    cell: Cell,
    seed: int,
    root: Path,
    *,
    options: Mapping[str, Any],
    margin: int,
    on_small_class: OnSmallClass = "error",
    device: str = "cpu",
    card: str | None = None,
    seeds_at_once: int | None = None,
) -> Path:
    """Show what one run's two stages learned: write pictures and features (.npz) below `root`; return the path.

    The file holds what the method's inspection gives, `pixels` with their `labels` (a draw of test pixels, as many of
    each class where they suffice), the run's `identity` (JSON) and its `checkpoint` ("SCENE/NAME"). Labels decide which
    pixels are drawn and how a picture is coloured afterwards; no weight and no feature depends on those of test pixels.

    Args: see `run_cell`.

    Raises:
        UserError: wrong input, or a method whose pretraining has nothing to show.
    """
    pretraining = make_method(cell.method, cell.variant, options).pretraining(cell.window, cell.mask_ratio)
    if pretraining is None or pretraining.inspection is None:
        raise UserError(f"method {cell.method}, variant {cell.variant}: has no pretraining to inspect")
    ((run,),) = _runs(cell, [[seed]], root, options, margin, on_small_class, device, card, seeds_at_once)
    pixels = _balanced(run.scene, run.tested, seed)
    module, _, function = pretraining.inspection.partition(":")
    found = getattr(importlib.import_module(module), function)(run.method, run.task, pretraining.settings, pixels)
    name = f"{pretraining.scene or cell.scene}/{checkpoint_name(pretraining)}"
    facts = {"identity": run.identity.model_dump_json(), "checkpoint": name}
    path = root / layout.INSPECTION.format(**cell.wildcards(), seed=seed)
    arrays = {**found, **facts, "pixels": pixels.astype(np.int32), "labels": run.scene.labels.ravel()[pixels]}
    return write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def _balanced(scene: Scene, split: Split, seed: int) -> PixelIndex:
    """Draw up to `MOST_INSPECTED` test pixels, class by class, as many of each where they suffice."""
    generator = rng(seed, "inspection", "pixels")
    labels = scene.labels.ravel()[split.test]
    classes = np.unique(labels)
    each = MOST_INSPECTED // len(classes)
    return np.concatenate([generator.permutation(split.test[labels == k])[:each] for k in classes])


def _records(runs: Sequence[Run], root: Path) -> list[Record]:
    """Make the runs of a group that are not there yet, together; return the records of all."""
    paths = [root / Cell(**run.identity.model_dump(exclude={"seed"})).record(run.identity.seed) for run in runs]
    found = {path: _finished(run, path) for run, path in zip(runs, paths, strict=True)}
    for run, path in zip(runs, paths, strict=True):
        # A job that died may have left it, and Snakemake an older one in its place or none.
        if found[path] is None and put_back(path):
            found[path] = _finished(run, path)
    waiting = [(run, path) for run, path in zip(runs, paths, strict=True) if found[path] is None]
    for path, kept in found.items():
        if kept is not None:
            log.info("%s is up to date", path)
    if waiting:
        made = make_runs(*zip(*waiting, strict=True))
        found |= {path: record for (_, path), record in zip(waiting, made, strict=True)}
        for (_, path), record in zip(waiting, made, strict=True):
            keep(path)
            if record.metrics is None:
                log.error("%s: failed: %s", path, record.reason)
            else:
                metrics = record.metrics
                log.info("%s: OA %.2f, AA %.2f, kappa %.2f", path, metrics.oa, metrics.aa, metrics.kappa)
    return [record for record in found.values() if record is not None]


def _finished(run: Run, path: Path) -> Record | None:
    """Return the record at `path` if that run was finished with just what decides it now; failed runs are not."""
    if not path.is_file():
        return None
    try:
        record = read_record(path)
        if record.status != "ok" or record.fingerprint != run.fingerprint:
            return None
        read_predictions(path)
    except UserError as error:
        log.warning("%s; the run is made again", error)
        return None
    return record

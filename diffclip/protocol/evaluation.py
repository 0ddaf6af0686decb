"""One run: a method meets a split, and a record with its predictions comes out, whatever happens."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.device import device_name
from diffclip.errors import UserError
from diffclip.protocol import provenance
from diffclip.protocol.catalogue import module_name
from diffclip.protocol.checkpoints import Checkpoint
from diffclip.protocol.method import SCENE_WIDE, Method, Scores
from diffclip.protocol.metrics import confusion_matrix, metrics_of
from diffclip.protocol.records import (
    Cost,
    Identity,
    Provenance,
    Record,
    SplitFacts,
    Traits,
    write_predictions,
    write_record,
)
from diffclip.protocol.sources import sources_sha256
from diffclip.protocol.splits import Split, window_overlap
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that a run needs and that decides its result.

    Attributes:
        identity: which run this is.
        method: with its options, not fitted.
        scene: with labels.
        split: training and test pixels.
        device: "cpu" or "cuda" (decides nothing but time).
        checkpoint: the pretrained weights, for methods that ask for them.
    """

    identity: Identity
    method: Method
    scene: Scene
    split: Split
    device: str = "cpu"
    checkpoint: Checkpoint | None = None

    @property
    def classes(self) -> np.ndarray:
        """Class numbers to tell apart, ascending."""
        kept = set(range(1, self.scene.n_classes + 1)) - set(self.split.skipped)
        return np.array(sorted(kept), dtype=np.int16)

    @property
    def config_sha256(self) -> str:
        """Checksum of identity, options and margin."""
        values = {"options": self.method.settings(), "margin": self.split.margin}
        return provenance.sha256_of({**self.identity.model_dump(), **values})

    @property
    def sources(self) -> str:
        """Checksum of the source files that decide the result: the method's, what it imports, and the metrics."""
        return sources_sha256([module_name(self.identity.method), "diffclip.protocol.metrics"])

    @property
    def fingerprint(self) -> str:
        """Checksum of everything that decides the result: not the device, not the number of workers."""
        decided = {
            "config": self.config_sha256,
            "scene": self.scene.sha256,
            "split": self.split.sha256,
            "sources": self.sources,
            "checkpoint": self.checkpoint.fingerprint if self.checkpoint else None,
        }
        return provenance.sha256_of(decided)


def make_run(run: Run, path: Path) -> Record:
    """Fit, predict, score; write the record to `path` and its predictions beside it; return the record.

    A method that raises leaves a record with status "failed" and the reason; only `UserError` (wrong input, which
    would fail every seed) is passed on.
    """
    with _measured(run.device) as spent:
        try:
            scores = _scores(run, spent)
        except UserError:
            raise
        except Exception as error:
            log.exception("%s seed %d failed", run.identity.method, run.identity.seed)
            reason = f"{type(error).__name__}: {error}"
            record = Record(status="failed", reason=reason, cost=None, **_facts(run))
            path.with_suffix(".npz").unlink(missing_ok=True)
            write_record(record, path)
            return record
    predicted = run.classes[scores.argmax(axis=1)]
    confusion = confusion_matrix(run.scene.labels.ravel()[run.split.test], predicted, run.classes)
    facts = _facts(run)
    record = Record(
        status="ok",
        metrics=metrics_of(confusion, tuple(facts["class_names"])),
        confusion=confusion.tolist(),
        cost=_cost(run, spent),
        **facts,
    )
    # Predictions first, and no older record beside them: a record that is there has its own.
    path.unlink(missing_ok=True)
    write_predictions(
        path.with_suffix(".npz"),
        run.split.test.astype(np.int32),
        predicted.astype(np.uint8),
        _confidence(scores).astype(np.float16),
    )
    write_record(record, path)
    return record


def _scores(run: Run, spent: dict[str, float]) -> Scores:
    train = run.split.train
    descriptions = run.scene.info.descriptions
    task = FewShotTask(
        scene=run.scene.imagery,
        train_pixels=train,
        train_labels=run.scene.labels.ravel()[train],
        classes=run.classes,
        class_names=tuple(run.scene.class_names[k - 1] for k in run.classes),
        class_descriptions=tuple(descriptions[k - 1] for k in run.classes) if descriptions else (),
        shots=run.identity.shots,
        seed=run.identity.seed,
        device=run.device,
        study_window=run.identity.window,
        study_mask_ratio=run.identity.mask_ratio,
        pretrained=run.checkpoint.path if run.checkpoint else None,
    )
    if run.method.oracle:
        run.method.truth = run.scene.labels.ravel()
    start = time.perf_counter()
    run.method.train(task)
    fitted = time.perf_counter()
    scores = run.method.classify(run.split.test)
    spent |= {"fit": fitted - start, "predict": time.perf_counter() - fitted}
    return scores


def _confidence(scores: Scores) -> np.ndarray:
    """Return (n,) the softmax of the scores at its highest."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return 1.0 / shifted.sum(axis=1)


@contextmanager
def _measured(device: str) -> Iterator[dict[str, float]]:
    """Yield a dictionary that receives the peak memory in MB under "memory"."""
    spent: dict[str, float] = {}
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        yield spent
        spent["memory"] = torch.cuda.max_memory_allocated() / 1e6
        return
    yield spent
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    spent["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _cost(run: Run, spent: dict[str, float]) -> Cost:
    return Cost(
        pretrain_seconds=run.checkpoint.seconds if run.checkpoint else None,
        fit_seconds=spent["fit"],
        predict_seconds=spent["predict"],
        peak_memory_mb=spent["memory"],
        parameters=run.method.n_parameters,
        device=run.device,
        device_name=device_name(run.device),
    )


def _facts(run: Run) -> dict[str, Any]:
    """Return what a record says of a run that is known before it starts."""
    labels = run.scene.labels.ravel()
    names = {int(k): run.scene.class_names[k - 1] for k in range(1, run.scene.n_classes + 1)}
    counts = np.bincount(labels[run.split.test], minlength=run.scene.n_classes + 1)
    reach = run.method.reach(run.identity.window)
    overlap, contains = (None, None) if reach == SCENE_WIDE else window_overlap(run.split, run.scene.shape, int(reach))
    return {
        "fingerprint": run.fingerprint,
        "identity": run.identity,
        "traits": Traits(
            title=run.method.title,
            scene_title=run.scene.info.title,
            simulated=run.scene.info.simulated,
            reach=reach,
            transductive=run.method.transductive,
            control=run.method.control,
            clip_weights=run.method.clip_weights,
        ),
        "options": run.method.settings(),
        "split": SplitFacts(
            margin=run.split.margin,
            train_pixels=len(run.split.train),
            test_pixels=len(run.split.test),
            test_pixels_per_class={names[int(k)]: int(counts[k]) for k in run.classes},
            skipped_classes=[names[k] for k in run.split.skipped],
            overlap_percent=overlap,
            contains_percent=contains,
        ),
        "class_names": [names[int(k)] for k in run.classes],
        "provenance": _provenance(run),
    }


def _provenance(run: Run) -> Provenance:
    return Provenance(
        suite=provenance.suite_version(),
        commit=provenance.git_commit(),
        packages=provenance.packages(),
        host=provenance.host(),
        created=provenance.now(),
        scene_sha256=run.scene.sha256,
        split_sha256=run.split.sha256,
        config_sha256=run.config_sha256,
        sources_sha256=run.sources,
        checkpoint_sha256=run.checkpoint.sha256 if run.checkpoint else None,
    )

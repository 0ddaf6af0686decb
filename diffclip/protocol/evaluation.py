"""One run: a method meets a split, and a record with its predictions comes out, whatever happens."""

from __future__ import annotations

import copy
import hashlib
import logging
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.device import device_name
from diffclip.energy import energy_measured
from diffclip.errors import UserError
from diffclip.protocol import provenance
from diffclip.protocol.catalogue import module_name
from diffclip.protocol.checkpoints import Checkpoint
from diffclip.protocol.method import SCENE_WIDE, Method, Scores
from diffclip.protocol.metrics import confusion_matrix, metrics_of
from diffclip.protocol.outside import Outside
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
from diffclip.protocol.splits import Split, draw_validation, window_overlap
from diffclip.protocol.stopwatch import stopwatch
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex, Scene

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
        seeds_at_once: how many seeds were asked to be trained as one model; None: what suits the device. A joint
            training rounds otherwise, so a number that was asked for decides the result where the method joins seeds.
        alone_because: why the run is made alone although several seeds were to be trained together.
        embedded_clip: the embedded CLIP's weights, for methods whose CLIP weights are "embedded".
        answers: what a program outside of the suite wrote for this run, for the method "outside".
        cache: folder that runs share, see `FewShotTask` (decides nothing but time).
    """

    identity: Identity
    method: Method
    scene: Scene
    split: Split
    device: str = "cpu"
    checkpoint: Checkpoint | None = None
    seeds_at_once: int | None = None
    alone_because: str | None = None
    embedded_clip: Checkpoint | None = None
    answers: Path | None = None
    cache: Path | None = None

    @property
    def classes(self) -> np.ndarray:
        """Class numbers to tell apart, ascending."""
        kept = set(range(1, self.scene.n_classes + 1)) - set(self.split.skipped)
        return np.array(sorted(kept), dtype=np.int16)

    @cached_property
    def validation(self) -> PixelIndex | None:
        """Pixels whose labels the method chooses among its fits with, or None.

        Raises:
            UserError: the method wants some and the protocol hands out none.
        """
        if not self.method.uses_validation:
            return None
        if self.identity.protocol != "paper":
            raise UserError(
                f"method {self.identity.method}, variant {self.identity.variant}: looks at validation labels: found "
                f"protocol {self.identity.protocol}, expected paper, the only one that hands them out"
            )
        return draw_validation(self.scene, self.split, self.identity.seed)

    @cached_property
    def tested(self) -> Split:
        """The split with the test pixels of this run: those that chose among its fits are none."""
        if self.validation is None or self.method.tests_on_validation:
            return self.split
        return replace(self.split, test=np.setdiff1d(self.split.test, self.validation))

    @property
    def task(self) -> FewShotTask:
        """What the method is given: the scene without labels, the training pixels with theirs."""
        train, descriptions = self.split.train, self.scene.info.descriptions
        return FewShotTask(
            scene=self.scene.imagery,
            train_pixels=train,
            train_labels=self.scene.labels.ravel()[train],
            classes=self.classes,
            class_names=tuple(self.scene.class_names[k - 1] for k in self.classes),
            class_descriptions=tuple(descriptions[k - 1] for k in self.classes) if descriptions else (),
            shots=self.identity.shots,
            seed=self.identity.seed,
            device=self.device,
            study_window=self.identity.window,
            study_mask_ratio=self.identity.mask_ratio,
            pretrained=self.checkpoint.path if self.checkpoint else None,
            validation_pixels=self.validation,
            validation_labels=None if self.validation is None else self.scene.labels.ravel()[self.validation],
            embedded_clip=self.embedded_clip.path.parent if self.embedded_clip else None,
            cache=self.cache,
        )

    @property
    def transductive(self) -> bool:
        """Whether unlabelled pixels of the tested scene are learned from, if only by way of a checkpoint of it."""
        pretraining = self.method.pretraining(self.identity.window, self.identity.mask_ratio)
        return self.method.transductive or (pretraining is not None and pretraining.scene == self.scene.name)

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
        decided: dict[str, Any] = {
            "config": self.config_sha256,
            "scene": self.scene.sha256,
            "split": self.split.sha256,
            "validation": None if self.validation is None else self.validation.tolist(),
            "sources": self.sources,
            "checkpoint": self.checkpoint.fingerprint if self.checkpoint else None,
            # Holds the checksum of a file that options name by its path.
            "clip_weights": self.method.clip_weights,
        }
        if self.seeds_at_once is not None and self.method.joins_seeds:
            decided["seeds_at_once"] = self.seeds_at_once
        if self.embedded_clip:
            decided["embedded_clip"] = self.embedded_clip.fingerprint
        if self.answers:
            decided["answers"] = hashlib.sha256(self.answers.read_bytes()).hexdigest()
        return provenance.sha256_of(decided)


def make_runs(runs: Sequence[Run], paths: Sequence[Path]) -> list[Record]:
    """Make the runs of several seeds of a cell, trained together; see `make_run`.

    Where the joint training fails, each seed is trained by itself, and its record says why.
    """
    if len(runs) == 1:
        return [make_run(runs[0], paths[0])]
    untouched = [copy.copy(run.method) for run in runs]
    reason = None
    try:
        fitted = _fit_together(runs)
    except UserError:
        raise
    except Exception as error:
        log.exception("%s: training %d seeds together failed", runs[0].identity.method, len(runs))
        reason = f"{type(error).__name__}: {error}"
    # Out of the handler, where what the failed training held on the device is free again.
    if reason is not None:
        alone = [replace(run, method=method, alone_because=reason) for run, method in zip(runs, untouched, strict=True)]
        return [make_run(run, path) for run, path in zip(alone, paths, strict=True)]
    return [_made(run, path, fitted) for run, path in zip(runs, paths, strict=True)]


def _fit_together(runs: Sequence[Run]) -> dict[str, float]:
    """Fit the runs' methods together; return each one's share of seconds and joules, their number, and the memory."""
    methods = [run.method for run in runs]
    with _measured(runs[0].device) as spent, stopwatch() as seconds:
        type(methods[0]).train_many(methods, [run.task for run in runs])
        spent |= {"fit": seconds() / len(runs), "together": len(runs)}
    if "energy" in spent:
        spent["energy"] /= len(runs)
    return spent


def make_run(run: Run, path: Path) -> Record:
    """Fit, predict, score; write the record to `path` and its predictions beside it; return the record.

    A method that raises leaves a record with status "failed" and the reason; only `UserError` (wrong input, which
    would fail every seed) is passed on.
    """
    return _made(run, path, {})


def _made(run: Run, path: Path, fitted: dict[str, float]) -> Record:
    """Make a run; `fitted` is what training it together with others has cost, or empty when it is not fitted yet."""
    with _measured(run.device) as spent:
        try:
            scores = _scores(run, spent, fitted)
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
    confusion = confusion_matrix(run.scene.labels.ravel()[run.tested.test], predicted, run.classes)
    facts = _facts(run)
    both = {key: spent[key] + fitted[key] for key in ("energy",) if key in spent and key in fitted}
    spent |= {**fitted, **both, "memory": max(spent["memory"], fitted.get("memory", 0.0))}
    record = Record(
        status="ok",
        metrics=metrics_of(confusion, tuple(facts["class_names"])),
        confusion=confusion.tolist(),
        cost=None if run.answers else _cost(run, spent),
        **facts,
    )
    # Predictions first, and no older record beside them: a record that is there has its own.
    path.unlink(missing_ok=True)
    write_predictions(
        path.with_suffix(".npz"),
        run.tested.test.astype(np.int32),
        predicted.astype(np.uint8),
        _confidence(scores).astype(np.float16),
    )
    write_record(record, path)
    return record


def _scores(run: Run, spent: dict[str, float], fitted: dict[str, float]) -> Scores:
    with stopwatch() as seconds:
        if not fitted:
            if run.method.oracle:
                run.method.truth = run.scene.labels.ravel()
            if isinstance(run.method, Outside) and run.answers:
                run.method.answers = run.answers
            run.method.train(run.task)
            if isinstance(run.method, Outside):
                run.method.refuse_others(run.tested.test)
        spent["fit"] = seconds()
        scores = run.method.classify(run.tested.test)
        spent["predict"] = seconds() - spent["fit"]
    return scores


def _confidence(scores: Scores) -> np.ndarray:
    """Return (n,) the softmax of the scores at its highest."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return 1.0 / shifted.sum(axis=1)


@contextmanager
def _measured(device: str) -> Iterator[dict[str, float]]:
    """Yield a dictionary that receives the peak memory in MB under "memory", and joules under "energy" if known."""
    spent: dict[str, float] = {}
    with energy_measured(device) as used:
        if device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            yield spent
            spent["memory"] = torch.cuda.max_memory_allocated() / 1e6
        else:
            yield spent
            # Kilobytes on Linux, bytes on macOS.
            unit = 1e6 if sys.platform == "darwin" else 1e3
            spent["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        joules = used()
    if joules is not None:
        spent["energy"] = joules


def _cost(run: Run, spent: dict[str, float]) -> Cost:
    return Cost(
        pretrain_seconds=run.checkpoint.seconds if run.checkpoint else None,
        fit_seconds=spent["fit"],
        seeds_together=int(spent.get("together", 1)),
        alone_because=run.alone_because,
        predict_seconds=spent["predict"],
        peak_memory_mb=spent["memory"],
        energy_joules=spent.get("energy"),
        parameters=run.method.n_parameters,
        device=run.device,
        device_name=device_name(run.device),
    )


def _facts(run: Run) -> dict[str, Any]:
    """Return what a record says of a run that is known before it starts."""
    labels = run.scene.labels.ravel()
    names = {int(k): run.scene.class_names[k - 1] for k in range(1, run.scene.n_classes + 1)}
    counts = np.bincount(labels[run.tested.test], minlength=run.scene.n_classes + 1)
    reach = run.method.reach(run.identity.window)
    through_windows = run.method.window_reach(run.identity.window)
    apart = reach == SCENE_WIDE and not through_windows
    overlap, contains = (None, None) if apart else window_overlap(run.tested, run.scene.shape, through_windows)
    return {
        "fingerprint": run.fingerprint,
        "identity": run.identity,
        "traits": Traits(
            title=run.method.title,
            scene_title=run.scene.info.title,
            simulated=run.scene.info.simulated,
            reach=reach,
            transductive=run.transductive,
            control=run.method.control,
            clip_weights=run.method.clip_weights,
        ),
        "options": run.method.settings(),
        "split": SplitFacts(
            margin=run.split.margin,
            train_pixels=len(run.split.train),
            test_pixels=len(run.tested.test),
            validation_pixels=0 if run.validation is None else len(run.validation),
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
        embedded_clip_sha256=run.embedded_clip.sha256 if run.embedded_clip else None,
    )

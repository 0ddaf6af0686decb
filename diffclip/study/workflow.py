"""What the Snakefile asks about a study: paths and arguments for the wildcards of a job."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from diffclip.device import has_nvidia_driver
from diffclip.language.weights import EMBEDDED, FOLDER_CONFIG, FOLDER_WEIGHTS
from diffclip.protocol.catalogue import module_name
from diffclip.protocol.checkpoints import checkpoint_name, pretraining_module
from diffclip.protocol.sources import source_files
from diffclip.scene.card import card_path
from diffclip.study import layout
from diffclip.study.cells import Cell
from diffclip.study.config import Study, parse_study
from diffclip.study.figures import scene_figures, study_figures
from diffclip.study.tables import scene_tables, study_tables
from diffclip.validation import read_yaml


def read_study(config: Mapping[str, Any], configfiles: Sequence[Any]) -> StudyJobs:
    """Return the study of Snakemake's merged config; messages name the config file.

    Snakemake keeps the last of two values of a key, so its files are read again.
    """
    for path in configfiles:
        read_yaml(Path(path))
    source = ", ".join(str(path) for path in configfiles) or "--config"
    return StudyJobs(parse_study(config, source))


def _named(paths: Iterable[Path]) -> list[str]:
    """Name files relative to the working folder where they lie in it, so that a moved project stays up to date."""
    here = Path.cwd()
    return [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in paths]


# How the record of a failed run says so, in its first lines.
_FAILED = '"status": "failed"'


def _failed(record: Path) -> bool:
    """Return whether a record is that of a failed run, without reading all of it: a study may have thousands."""
    with record.open("rb") as file:
        return _FAILED.encode() in file.read(64)


class StudyJobs:
    """A study as Snakemake's rules see it: attributes are constants, methods are input and params functions."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.name = study.study
        self.seeds = study.seeds
        self.seed_list = ",".join(map(str, study.seeds))
        self.scenes = study.scenes
        self.protocols = study.protocols
        self.on_small_class = study.on_small_class
        self.device = study.device
        self.seeds_at_once = "" if study.seeds_at_once is None else f"--seeds-at-once {study.seeds_at_once}"
        self.root = f"results/{study.study}"

    @cached_property
    def _cells(self) -> dict[tuple[str, ...], Cell]:
        return {
            (cell.scene, cell.protocol, cell.method, cell.variant, cell.point): cell for cell in self._study.cells()
        }

    @cached_property
    def records(self) -> list[str]:
        """Every record of the study."""
        return [f"{self.root}/{cell.record(seed)}" for cell in self._cells.values() for seed in self.seeds]

    @cached_property
    def drawn(self) -> list[str]:
        """Every split of the study."""
        found = (
            layout.SPLIT.format(**cell.wildcards(), seed=seed) for cell in self._cells.values() for seed in self.seeds
        )
        return [f"{self.root}/{path}" for path in dict.fromkeys(found)]

    def failures(self) -> str:
        """Return how many of the study's runs failed, one of their records, and how to make them again; or ""."""
        failed = [path for path in map(Path, self.records) if path.is_file() and _failed(path)]
        if not failed:
            return ""
        remove = f"grep -rl '{_FAILED}' {self.root}/records --include='*.json' | xargs rm"
        return (
            f"{len(failed)} of {len(self.records)} runs failed, one is {failed[0]}; to make them again, make the "
            f"study without a target (snakemake --cores all and its --configfile) after this: {remove}"
        )

    def unfinished(self) -> str:
        """Return how many runs have no record, as their jobs died, and how to see what the others say; or ""."""
        missing = sum(not Path(path).is_file() for path in self.records)
        if not missing:
            return ""
        return (
            f"{missing} of {len(self.records)} runs have no record yet; what the others say is shown by "
            f"python -m report runs --study {self.root}, then check, tables, figures and page in the place of runs"
        )

    @cached_property
    def json(self) -> str:
        """The study with all defaults filled in."""
        return self._study.model_dump_json(indent=1)

    @cached_property
    def tables(self) -> list[str]:
        """What follows the scene in the names of its tables: "PROTOCOL_KIND"."""
        return [f"{protocol}_{kind}" for protocol, kind in scene_tables(self._study.model_dump())]

    @cached_property
    def overviews(self) -> list[str]:
        """Names of the tables over all scenes."""
        return study_tables(self._study.model_dump())

    @cached_property
    def figures(self) -> list[str]:
        """What follows the scene in the names of its figures: "PROTOCOL_KIND", with a sweep's or a row's name."""
        return [f"{protocol}_{name}" for protocol, name in scene_figures(self._study.model_dump())]

    @cached_property
    def overview_figures(self) -> list[str]:
        """Names of the figures over all scenes."""
        return study_figures(self._study.model_dump())

    def sources_of(self, *modules: str) -> list[str]:
        """Return the source files that decide what some modules make."""
        return _named(source_files(modules))

    def folder(self, wildcards: Any) -> str:
        """Return the study's folder."""
        return self.root

    @cached_property
    def _margin(self) -> int:
        return self._study.strict_margin()

    def margin(self, wildcards: Any) -> str:
        """Return the argument of the distance between training and test pixels; `strict` alone keeps one."""
        return f"--margin {self._margin}" if wildcards.protocol == "strict" else ""

    def card(self, wildcards: Any) -> str:
        """Return the card of a scene."""
        return _named([card_path(wildcards.scene)])[0]

    def _cell(self, wildcards: Any) -> Cell:
        return self._cells[wildcards.scene, wildcards.protocol, wildcards.method, wildcards.variant, wildcards.point]

    @cached_property
    def _inspected(self) -> dict[tuple[str, ...], Cell]:
        return {(cell.scene, cell.method, cell.variant): cell for cell in self._study.inspected()}

    def _inspected_cell(self, wildcards: Any) -> Cell:
        return self._inspected[wildcards.scene, wildcards.method, wildcards.variant]

    @property
    def inspected(self) -> list[Cell]:
        """Cells of which one run shows what it learned."""
        return list(self._inspected.values())

    @property
    def inspections(self) -> list[str]:
        """What the figures of inspected cells are drawn from: their files, the losses of stage 1."""
        files = []
        for cell in self.inspected:
            if self._study.inspect is not None:
                shown = layout.INSPECTION.format(**cell.wildcards(), seed=self._study.inspect.seed)
                files += [f"{self.root}/{shown}", *map(layout.log_of, self._checkpoints(cell, self.seeds))]
        return files

    def inspected_split_and_checkpoint(self, wildcards: Any) -> list[str]:
        """Return the split that an inspected run meets and the checkpoint that it starts from."""
        cell, seed = self._inspected_cell(wildcards), wildcards.seed
        split = f"{self.root}/{layout.SPLIT.format(**cell.wildcards(), seed=seed)}"
        return [split, *self._checkpoints(cell, [seed])]

    def inspected_embedded_clip(self, wildcards: Any) -> list[str]:
        """Return the files of the embedded CLIP where an inspected run takes its weights."""
        return self._embedded_clip_of(self._inspected_cell(wildcards))

    def inspection_sources(self, wildcards: Any) -> list[str]:
        """Return the source files that decide what an inspected run shows, and its split and checkpoint."""
        cell = self._inspected_cell(wildcards)
        pretraining = self._study.pretraining(cell)
        assert pretraining is not None
        assert pretraining.inspection is not None
        shows = pretraining.inspection.partition(":")[0]
        modules = [module_name(cell.method), shows, pretraining_module(pretraining), "diffclip.protocol.splits"]
        return _named(source_files(modules))

    def inspection_arguments(self, wildcards: Any) -> str:
        """Return the arguments of `diffclip inspect` besides scene, protocol and seed."""
        cell = self._inspected_cell(wildcards)
        return f"{self._arguments(cell)} --shots {cell.shots}"

    def splits(self, wildcards: Any) -> list[str]:
        """Return the splits that a cell's runs meet."""
        cell = self._cell(wildcards)
        return [f"{self.root}/{layout.SPLIT.format(**cell.wildcards(), seed=seed)}" for seed in self.seeds]

    def checkpoints(self, wildcards: Any) -> list[str]:
        """Return the checkpoints that a cell's runs start from."""
        return self._checkpoints(self._cell(wildcards), self.seeds)

    @cached_property
    def embedded_clip(self) -> list[str]:
        """The files of the embedded CLIP."""
        folder = f"{self.root}/{layout.EMBEDDED_CLIP}"
        return [f"{folder}/{name}" for name in (FOLDER_CONFIG, FOLDER_WEIGHTS, "log.json")]

    def embedded_clip_of(self, wildcards: Any) -> list[str]:
        """Return the files of the embedded CLIP where a cell takes its weights."""
        return self._embedded_clip_of(self._cell(wildcards))

    def _embedded_clip_of(self, cell: Cell) -> list[str]:
        return self.embedded_clip if self._study.made(cell).clip_weights == EMBEDDED else []

    def _checkpoints(self, cell: Cell, seeds: Iterable[int | str]) -> list[str]:
        pretraining = self._study.pretraining(cell)
        if pretraining is None:
            return []
        name = checkpoint_name(pretraining)
        scene = pretraining.scene or cell.scene
        return [f"{self.root}/{layout.CHECKPOINT.format(scene=scene, checkpoint=name, seed=seed)}" for seed in seeds]

    def answers(self, wildcards: Any) -> list[str]:
        """Return a cell's tasks and what a program outside must answer them with; nothing for methods of the suite."""
        cell = self._cell(wildcards)
        if cell.method != "outside":
            return []
        names = [
            template.format(**cell.wildcards(), program=cell.variant, seed=seed)
            for template in (layout.TASK, layout.ANSWERS)
            for seed in self.seeds
        ]
        return [f"{self.root}/{name}" for name in names]

    def method_sources(self, wildcards: Any) -> list[str]:
        """Return the source files that decide a method's results."""
        return _named(source_files([module_name(wildcards.method), "diffclip.protocol.metrics"]))

    def method_arguments(self, wildcards: Any) -> str:
        """Return the arguments of `diffclip run` that make a cell, besides scene, protocol and seeds."""
        cell = self._cell(wildcards)
        return f"{self._arguments(cell)} --shots {cell.shots}"

    def _arguments(self, cell: Cell) -> str:
        options = json.dumps(self._study.options(cell.method, cell.variant))
        words = ["--method", cell.method, "--variant", cell.variant, "--options", options]
        if cell.window is not None:
            words += ["--window", str(cell.window)]
        if cell.mask_ratio is not None:
            words += ["--mask-ratio", str(cell.mask_ratio)]
        return shlex.join(words)

    @cached_property
    def _pretrained(self) -> dict[tuple[str, str], Cell]:
        """One cell for every checkpoint: any of those that share it tells how to make it."""
        found: dict[tuple[str, str], Cell] = {}
        for cell in (*self._cells.values(), *self._inspected.values()):
            pretraining = self._study.pretraining(cell)
            if pretraining is not None:
                found.setdefault((pretraining.scene or cell.scene, checkpoint_name(pretraining)), cell)
        return found

    def pretraining_arguments(self, wildcards: Any) -> str:
        """Return the arguments of `diffclip pretrain` that make a checkpoint, besides scene and seeds."""
        return self._arguments(self._pretrained[wildcards.scene, wildcards.checkpoint])

    def pretraining_sources(self, wildcards: Any) -> list[str]:
        """Return the source files that decide a checkpoint."""
        pretraining = self._study.pretraining(self._pretrained[wildcards.scene, wildcards.checkpoint])
        assert pretraining is not None
        return _named(source_files([pretraining_module(pretraining)]))

    @cached_property
    def gpu_per_training(self) -> int:
        """1 where networks train on a GPU, so that they share it one after another; 0 where they train on the CPU."""
        return int(self.device == "cuda" or (self.device == "auto" and has_nvidia_driver()))

    def gpus(self, wildcards: Any) -> int:
        """Return what a cell's job takes of the resource "gpu"."""
        return self.gpu_per_training * int(self._study.made(self._cell(wildcards)).uses_device)

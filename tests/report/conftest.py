"""A small study on disk, made of real records, predictions and a prepared scene, without running any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

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
from diffclip.protocol.splits import Split, save_split
from diffclip.scene.scene import Scene, SceneInfo
from diffclip.scene.store import save_scene
from diffclip.study import layout
from diffclip.study.cells import Cell
from diffclip.study.config import Study


@dataclass(frozen=True)
class FakeMethod:
    """A method that is right on a share of the test pixels, which grows with the shots."""

    name: str
    title: str
    skill: float
    variant: str = "default"
    axes: tuple[str, ...] = ()
    reach: int | Literal["scene"] = 0
    transductive: bool = False
    control: bool = False
    clip_weights: str = "none"

    def accuracy(self, cell: Cell) -> float:
        """Share of right predictions."""
        if self.control:
            return self.skill
        gained = self.skill + 0.05 * np.log2(cell.shots)
        window = 0.0 if cell.window is None else -0.0004 * (cell.window - 9) ** 2
        mask = 0.0 if cell.mask_ratio is None else -0.15 * (cell.mask_ratio - 0.6) ** 2
        return float(np.clip(gained + window + mask, 0.05, 0.995))


CONTROLS = (
    FakeMethod("true_labels", "True labels", 1.0, control=True),
    FakeMethod("random_labels", "Random labels", 0.2, control=True),
)
METHODS = (
    FakeMethod("svm", "SVM", 0.6, transductive=True, reach="scene"),
    FakeMethod("diffclip", "DiffCLIP", 0.7, "tuned", ("window", "mask_ratio"), reach=2, clip_weights="random"),
    *CONTROLS,
)
SWEEP = {
    "methods": {"diffclip": {"tuned": {}}},
    "protocols": ["paper"],
    "shots": [2],
    "windows": [5, 9],
    "mask_ratios": [0.3, 0.6],
}


@dataclass
class FakeStudy:
    """How to make a study's folder; `write` makes it."""

    folder: Path
    methods: tuple[FakeMethod, ...] = METHODS
    protocols: tuple[str, ...] = ("paper", "strict")
    shots: tuple[int, ...] = (2, 10)
    seeds: tuple[int, ...] = (0, 1, 2)
    sweeps: dict[str, Any] = field(default_factory=lambda: {"mask-window": SWEEP})
    shape: tuple[int, int] = (24, 30)
    class_names: tuple[str, ...] = ("Grass & trees", "Road_1", "Water 100%")
    title: str = "Toy scene"
    simulated: bool = True
    # (method, shots, seed): these runs of the protocol "paper" fail.
    failing: tuple[tuple[str, int, int], ...] = (("svm", 10, 2),)
    scene_name: str = "toy"

    def write(self) -> Path:
        """Write study.json, the prepared scene, all records and predictions; return the folder."""
        scene = self._scene()
        save_scene(scene, self.folder / "scenes" / self.scene_name)
        study = self._study()
        (self.folder / "study.json").write_text(study.model_dump_json())
        for cell, method in self._cells(study):
            for seed in self.seeds:
                self._run(scene, cell, method, seed)
        return self.folder

    def _scene(self) -> Scene:
        rng = np.random.default_rng(0)
        height, width = self.shape
        rows, columns = np.indices(self.shape)
        blocks = (rows * 4 // height) * 5 + columns * 5 // width
        labels = (blocks * 7 % len(self.class_names) + 1).astype(np.int16)
        labels[(rows % 8 < 2) | (columns % 9 < 2)] = 0
        hsi = labels[..., None] + rng.normal(size=(height, width, 4))
        info = SceneInfo(self.title, self.simulated, false_colour=(3, 1, 0))
        return Scene(self.scene_name, hsi, np.zeros((height, width, 1)), labels, self.class_names, info)

    def _study(self) -> Study:
        methods: dict[str, dict[str, Any]] = {}
        for method in self.methods:
            methods.setdefault(method.name, {})[method.variant] = {}
        return Study(
            study="fake",
            title="A fake study",
            scenes=[self.scene_name],
            protocols=list(self.protocols),
            shots=list(self.shots),
            seeds=list(self.seeds),
            window=5,
            mask_ratio=0.6,
            methods=methods,
            sweeps=self.sweeps,
        )

    def _cells(self, study: Study) -> Iterator[tuple[Cell, FakeMethod]]:
        by_row = {(method.name, method.variant): method for method in self.methods}
        grids = [(study.methods, study.protocols, study.shots, [study.window], [study.mask_ratio])]
        for sweep in study.sweeps.values():
            windows, ratios = sweep.windows or [study.window], sweep.mask_ratios or [study.mask_ratio]
            grids.append((sweep.methods, sweep.protocols, sweep.shots, windows, ratios))
        found: dict[Cell, FakeMethod] = {}
        for methods, protocols, shots, windows, ratios in grids:
            for row in ((name, variant) for name, variants in methods.items() for variant in variants):
                axes = by_row[row].axes
                for protocol in protocols:
                    for shot in shots:
                        for window in windows if "window" in axes else [None]:
                            for ratio in ratios if "mask_ratio" in axes else [None]:
                                cell = Cell(self.scene_name, protocol, *row, shot, window, ratio)
                                found[cell] = by_row[row]
        yield from found.items()

    def _run(self, scene: Scene, cell: Cell, method: FakeMethod, seed: int) -> None:
        rng = np.random.default_rng([seed, cell.shots, sum(map(ord, cell.protocol))])
        flat = scene.labels.ravel()
        train = np.concatenate(
            [rng.choice(np.flatnonzero(flat == k + 1), cell.shots, replace=False) for k in range(scene.n_classes)]
        )
        near = np.zeros(scene.shape, dtype=bool)
        near.ravel()[train] = True
        if cell.protocol == "strict":
            near = near | np.roll(near, 1, 0) | np.roll(near, 1, 1) | np.roll(near, -1, 0) | np.roll(near, -1, 1)
        test = np.flatnonzero((flat > 0) & ~near.ravel())
        split = self.folder / layout.SPLIT.format(**cell.wildcards(), seed=seed)
        if not split.is_file():
            save_split(Split(np.sort(train), test), split)
        rng = np.random.default_rng([seed, sum(map(ord, cell.record(seed)))])
        share = method.accuracy(cell) + (0 if method.control else rng.normal(0, 0.02))
        truth = flat[test].astype(np.int64)
        guess = rng.integers(1, scene.n_classes + 1, len(test))
        predicted = np.where(rng.random(len(test)) < share, truth, guess)
        failed = cell.protocol == "paper" and (cell.method, cell.shots, seed) in self.failing
        confusion = confusion_matrix(truth, predicted, np.arange(1, scene.n_classes + 1))
        record = self._record(scene, cell, method, seed, confusion, failed)
        path = self.folder / cell.record(seed)
        write_record(record, path)
        if not failed:
            confidence = np.full(len(test), 0.5, np.float16)
            write_predictions(path.with_suffix(".npz"), test.astype(np.int32), predicted.astype(np.uint8), confidence)

    def _record(
        self, scene: Scene, cell: Cell, method: FakeMethod, seed: int, confusion: np.ndarray, failed: bool
    ) -> Record:
        counts = dict(zip(self.class_names, confusion.sum(axis=1).tolist(), strict=True))
        return Record(
            status="failed" if failed else "ok",
            reason="RuntimeError: out of luck" if failed else None,
            fingerprint="f" * 64,
            identity=Identity(
                scene=cell.scene,
                method=cell.method,
                variant=cell.variant,
                protocol=cell.protocol,
                shots=cell.shots,
                window=cell.window,
                mask_ratio=cell.mask_ratio,
                seed=seed,
            ),
            traits=Traits(
                title=method.title,
                scene_title=self.title,
                simulated=self.simulated,
                reach=method.reach,
                transductive=method.transductive,
                control=method.control,
                clip_weights=method.clip_weights,
            ),
            options={},
            split=SplitFacts(
                margin=5 if cell.protocol == "strict" else None,
                train_pixels=cell.shots * scene.n_classes,
                test_pixels=int(confusion.sum()),
                test_pixels_per_class=counts,
                skipped_classes=[],
                overlap_percent=None if method.reach == "scene" else float(method.reach * 5.5 + cell.shots),
                contains_percent=None if method.reach == "scene" else float(method.reach * 2),
            ),
            metrics=None if failed else metrics_of(confusion, self.class_names),
            class_names=list(self.class_names),
            confusion=None if failed else confusion.tolist(),
            cost=None if failed else _cost(),
            provenance=_provenance(scene, cell, seed),
        )


def _cost() -> Cost:
    return Cost(
        pretrain_seconds=None,
        fit_seconds=1.5,
        predict_seconds=0.5,
        peak_memory_mb=100.0,
        parameters=None,
        device="cpu",
        device_name="Toy CPU",
    )


def _provenance(scene: Scene, cell: Cell, seed: int) -> Provenance:
    return Provenance(
        suite="0.1.0",
        commit="0123456789abcdef0123456789abcdef01234567",
        packages={"numpy": np.__version__},
        host="toy",
        created="2025-01-01T00:00:00+00:00",
        scene_sha256=scene.sha256,
        split_sha256=f"{cell.protocol}-{cell.shots}-{seed}",
        config_sha256="c",
        sources_sha256="s",
        checkpoint_sha256=None,
    )


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., FakeStudy]:
    """Return a maker of fake studies in a temporary folder; keywords change what `FakeStudy` has by default."""
    return lambda **changes: FakeStudy(tmp_path / "results" / "fake", **changes)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default fake study with its runs.csv: for tests that write nothing into it but tables and figures."""
    from report.__main__ import main

    folder = FakeStudy(tmp_path_factory.mktemp("study") / "fake").write()
    assert main(["runs", "--study", str(folder)]) == 0
    return folder

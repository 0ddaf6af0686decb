"""How long the report takes from 2,000 records: every step in a process of its own, and all by one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml
from PIL import Image

from diffclip.device import device_name
from diffclip.study import layout
from tests.benchmarks.conftest import seconds
from tests.report.conftest import CONTROLS, FakeMethod, FakeStudy
from tests.workflow.conftest import CARD, Project, copy_sources

STEPS = {
    "runs": ["runs"],
    "check": ["check"],
    "tables": ["tables"],
    "figures without predictions": ["figures", "--kind", "shots", "--kind", "confusion", "--kind", "cost"],
    "figures from predictions": ["figures", "--kind", "maps", "--kind", "errors", "--kind", "leakage"],
    "figures over scenes": ["figures", "--overviews"],
    "page": ["page"],
}
SCENES = ("near", "far")
FEATURES = ("spectra", "spectra+aux", "means", "emp")
# Eighteen rows, which with the two controls are twenty.
ROWS = {
    **dict.fromkeys(("nearest_mean", "knn", "lda", "logistic_regression"), FEATURES),
    "random_forest": FEATURES[:2],
}
# What draws no figure from stored predictions, in a copy of the suite.
PREDICTED = (
    ('"shots", "maps", "errors", "confusion", "cost"', '"shots", "confusion", "cost"'),
    ("[(LEAKY, LEAKAGE)] if", "[] if"),
)


@pytest.fixture(scope="module")
def project(sizes: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the suite with 2 scenes x 2 protocols x 20 methods x 5 shots x 5 seeds, and all their predictions."""
    copy = copy_sources(tmp_path_factory.mktemp("report") / "project")
    rows = [(method, variant) for method, variants in ROWS.items() for variant in variants]
    tiny = sizes.rounds == 1
    methods = [FakeMethod(name, name, 0.3 + 0.02 * n, variant) for n, (name, variant) in enumerate(rows)]
    folder = copy.root / "results/fake"
    for scene in SCENES:
        (copy.root / f"config/scenes/{scene}.yaml").write_text(CARD)
        path = folder / layout.SCENE.format(scene=scene)
        path.parent.mkdir(parents=True)
        Image.new("RGB", (100, 100)).save(path.with_name("quicklook.png"))
        FakeStudy(
            folder,
            methods=(*methods[: 2 if tiny else 18], *CONTROLS),
            shots=(2, 5) if tiny else (2, 4, 8, 10, 16),
            seeds=(0, 1) if tiny else (0, 1, 2, 3, 4),
            sweeps={},
            failing=(),
            shape=(100, 100),
            class_names=tuple(f"class {k}" for k in range(10)),
            scene_name=scene,
        ).write()
    # Runs of one split come before the next split, and all of them are made from all.
    for path in (folder / "records").rglob("seed-*"):
        path.touch()
    path = folder / layout.STUDY
    study = json.loads(path.read_text()) | {"scenes": list(SCENES)}
    path.write_text(json.dumps(study))
    (copy.root / "config/fake.yaml").write_text(yaml.safe_dump({k: v for k, v in study.items() if v is not None}))
    return copy


def noted(benchmark: Any, sizes: Any, project: Project) -> None:
    records = len(list((project.root / "results/fake/records").rglob("seed-?.json")))
    facts = {"plain": [], "work": {"records": records}, "gflop": 0.0, "threads": 1, "tiny": sizes.rounds == 1}
    benchmark.extra_info |= {**facts, "device": "cpu", "device_name": device_name("cpu")}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_report(benchmark, sizes, project, step):
    command = [sys.executable, "-m", "report", *STEPS[step], "--study", str(project.root / "results/fake")]
    benchmark._timer = seconds
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=1)
    noted(benchmark, sizes, project)


@pytest.mark.parametrize("shown", ["all figures", "without those from predictions"])
def test_tables_and_figures_by_snakemake(benchmark, sizes, project, shown):
    """`snakemake --cores 1 tables figures`, with Snakemake's own time."""
    if shown != "all figures":
        for before, after in PREDICTED:
            project.edit("diffclip/study/figures.py", lambda text, old=before, new=after: text.replace(old, new))
    results = project.root / "results/fake"
    for made in (results / "tables", results / "figures", project.root / ".snakemake"):
        shutil.rmtree(made, ignore_errors=True)
    for made in (layout.RUNS, layout.PREDICTIONS):
        (results / made).unlink(missing_ok=True)
    plan = project.snakemake("--dry-run", "tables", "figures", study="fake")
    assert "total              4" in plan.stdout + plan.stderr
    benchmark._timer = seconds
    benchmark.pedantic(lambda: project.snakemake("tables", "figures", study="fake", cores=1), rounds=1)
    for kind in ("maps", "errors", "leakage"):
        assert any(results.glob(f"figures/*{kind}*")) == (shown == "all figures"), kind
    noted(benchmark, sizes, project)

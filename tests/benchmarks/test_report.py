"""How long the report takes from 2,000 records: every step in a process of its own, as the workflow runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffclip.device import device_name
from tests.benchmarks.conftest import seconds
from tests.report.conftest import CONTROLS, FakeMethod, FakeStudy

STEPS = {
    "runs": ["runs"],
    "check": ["check"],
    "tables": ["tables"],
    "figures without predictions": ["figures", "--kind", "shots", "--kind", "confusion", "--kind", "cost"],
    "figures from predictions": ["figures", "--kind", "maps", "--kind", "errors", "--kind", "leakage"],
    "figures over scenes": ["figures", "--overviews"],
    "page": ["page"],
}


@pytest.fixture(scope="module")
def study(sizes, tmp_path_factory) -> Path:
    """2 scenes x 2 protocols x 20 methods x 5 shots x 5 seeds, with controls and the predictions of every run."""
    rivals = [FakeMethod(f"rival_{n}", f"Rival {n}", 0.3 + 0.02 * n) for n in range(18)]
    tiny = sizes.rounds == 1
    folder = tmp_path_factory.mktemp("report") / "fake"
    for scene in ("near", "far"):
        FakeStudy(
            folder,
            methods=(*rivals[: 2 if tiny else 18], *CONTROLS),
            shots=(2, 5) if tiny else (2, 4, 8, 10, 16),
            seeds=(0, 1) if tiny else (0, 1, 2, 3, 4),
            sweeps={},
            failing=(),
            shape=(100, 100),
            class_names=tuple(f"class {k}" for k in range(10)),
            scene_name=scene,
        ).write()
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scenes": ["near", "far"]}))
    return folder


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_report(benchmark, sizes, study, step):
    command = [sys.executable, "-m", "report", *STEPS[step], "--study", str(study)]
    benchmark._timer = seconds
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=1)
    records = len(list((study / "records").rglob("seed-?.json")))
    facts = {"plain": [], "work": {"records": records}, "gflop": 0.0, "threads": 1, "tiny": sizes.rounds == 1}
    benchmark.extra_info |= {**facts, "device": "cpu", "device_name": device_name("cpu")}

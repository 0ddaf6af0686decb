"""The guides are followed to the letter: files are written and commands are run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workflow.conftest import ROOT, copy_sources

# A block of code with the paragraph before it.
BLOCK = re.compile(r"(?P<before>[^\n`][^\n]*(?:\n[^\n]+)*)?\n\n```(?P<kind>\w+)\n(?P<code>.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with its tests."""
    copy_sources(tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def follow(page: str, project: Path) -> None:
    """Do what a page says, block by block: write a file, or run a command."""
    for block in BLOCK.finditer((ROOT / "docs" / page).read_text()):
        file = re.search(r"Write\s`([^`]+)`:$", block["before"] or "")
        if file:
            (project / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (project / file[1]).write_text(block["code"])
        else:
            start = {"sh": ["bash", "-e", "-c"], "python": ["python", "-c"]}[block["kind"]]
            run([*start, block["code"]], project)


def run(command: list[str], project: Path) -> str:
    """Run a command in the project; return what it said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": path}
    environment.pop("DIFFCLIP_DATA", None)
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def rows(table: Path) -> dict[str, float]:
    """Return the first number of every row of a table."""
    lines = [line.split("|")[1:-1] for line in table.read_text().splitlines() if line.startswith("|")]
    found = [(cells[0].strip(), re.search(r"\d+\.\d+", cells[1])) for cells in lines]
    return {name: float(number[0]) for name, number in found if number}


def test_the_guide_to_a_baseline_ends_with_its_rows_in_the_table(project):
    follow("add-a-baseline.md", project)
    found = rows(project / "results/mine/tables/simulated_paper_main.md")
    assert list(found)[:3] == ["Nearest mean", "Ridge", "Outside program (centroid)"]
    assert all(20 < found[name] < 100 for name in list(found)[:3])
    assert found["True labels"] == 100.0
    study = project / "config/mine.yaml"
    study.write_text(study.read_text().replace("seeds: 2", "seeds: 3"))
    planned = run(["snakemake", "tables", "--dry-run", "--cores", "2", "--configfile", str(study)], project)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE))
    assert (counts["centroid"], counts["task"], counts["method"]) == ("1", "1", "5")


def test_the_guide_to_a_scene_ends_with_its_table(project):
    follow("add-a-scene.md", project)
    found = rows(project / "results/harbour/tables/harbour_paper_main.md")
    assert found["LDA"] > 90
    assert 20 < found["Random labels"] < 50
    # The page's last command reads a file that has changed under the card, and makes the runs again.
    scene = project / "results/harbour/scenes/harbour/scene.json"
    before, cube = json.loads(scene.read_text())["sha256"], np.load(project / "data/harbour/cube.npy")
    np.save(project / "data/harbour/cube.npy", cube[::-1])
    run(["bash", "-e", "-c", list(BLOCK.finditer((ROOT / "docs/add-a-scene.md").read_text()))[-1]["code"]], project)
    after = json.loads(scene.read_text())["sha256"]
    assert after != before
    for record in project.glob("results/harbour/records/**/*.json"):
        assert json.loads(record.read_text())["provenance"]["scene_sha256"] == after

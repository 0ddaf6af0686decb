"""A tiny study, run once for real in a copy of the project; tests work on copies of that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "environment.yml", "workflow", "profiles", "config", "diffclip", "baselines", "report")

CARD = """
title: Toy scene
simulate: {seed: 3, height: 64, width: 64, bands: 12}
"""

STUDY = """
study: tiny
scenes: [toy]
protocols: [paper, strict]
shots: [2]
seeds: 2
window: 5
device: cpu
methods:
  nearest_mean:
  svm: {spectra: }
  diffclip:
    tiny: &tiny {stem: 8, width: 8, depth: 1, heads: 2, decoder_width: 8, decoder_depth: 1, decoder_heads: 2,
      text_width: 8, text_depth: 1, text_heads: 2, embedding: 8, pretrain_steps: 3, pretrain_batch: 8, epochs: 2}
  random_labels:
sweeps:
  window:
    methods: {diffclip: {tiny: *tiny}}
    protocols: [paper]
    shots: [2]
    windows: [3, 5]
inspect:
  methods: {diffclip: [tiny]}
  protocol: paper
  shots: 2
  seed: 1
"""


@dataclass(frozen=True)
class Project:
    """A copy of the project in which snakemake runs."""

    root: Path

    def snakemake(
        self, *arguments: str, check: bool = True, study: str = "tiny", cores: int = 2
    ) -> subprocess.CompletedProcess[str]:
        """Run snakemake on a study, the tiny one by default, with the copy's own sources."""
        # --configfile takes all words that follow, so targets stand before it.
        options = ["--cores", str(cores), "--configfile", f"config/{study}.yaml"]
        command = [sys.executable, "-m", "snakemake", *arguments, *options]
        scripts = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        }
        environment.pop("DIFFCLIP_DATA", None)
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=600)
        assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def planned(self, *arguments: str) -> str:
        """Return what a dry run would do."""
        done = self.snakemake("--dry-run", *arguments)
        return done.stdout + done.stderr

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Change a file of the copy."""
        file = self.root / path
        file.write_text(change(file.read_text()))

    def records(self) -> dict[Path, str]:
        """Return the text of every record by its path below the records' folder."""
        folder = self.root / "results/tiny/records"
        return {path.relative_to(folder): path.read_text() for path in sorted(folder.rglob("*.json"))}


def copy_sources(target: Path) -> Project:
    """Copy what the study needs, with the tiny study's config and card."""
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, target / part)
    (target / "config/scenes/toy.yaml").write_text(CARD)
    (target / "config/tiny.yaml").write_text(STUDY)
    return Project(target)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny study, finished; not to be changed."""
    project = copy_sources(tmp_path_factory.mktemp("study") / "project")
    project.snakemake()
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A copy of the finished tiny study, with Snakemake's memory of it."""
    shutil.copytree(finished_once.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")

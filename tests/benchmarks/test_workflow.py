"""How long the workflow takes to find out what is to be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from diffclip.study.config import load_study

ROOT = Path(__file__).parents[2]
# A job per run, where the suite has one per cell.
FLAT = """
rule all:
    input: expand("records/{{cell}}/seed-{{seed}}.json", cell=range({cells}), seed=range({seeds}))

rule run:
    output: "records/{{cell}}/seed-{{seed}}.json"
    shell: "true"
"""


def _planned(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "all", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_planning_the_paper(against, sizes, tmp_path):
    config = ROOT / "config" / ("quick.yaml" if sizes.rounds == 1 else "paper.yaml")
    study = load_study(config)
    (tmp_path / "Snakefile").write_text(FLAT.format(cells=len(study.cells()), seeds=len(study.seeds)))
    # Everything, whatever is there already.
    words = ("--configfile", str(config), "--forceall")
    jobs = len(study.cells()) * len(study.seeds)
    against(lambda: _planned(ROOT, *words), lambda: _planned(tmp_path), {"runs": jobs}, rounds=1, computes=False)


@pytest.mark.parametrize("module", ["diffclip.cli", "diffclip.steps", "torch", "open_clip"])
def test_starting_a_process(against, module):
    """What a job pays before it works: an import, in a process of its own."""
    against(
        lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True),
        None,
        {"starts": 1},
        computes=False,
    )

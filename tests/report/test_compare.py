"""Two studies side by side: paired where splits are the same, not where they differ, and what only one has."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind, wilcoxon

from report.__main__ import main

SEEDS = tuple(range(6))
SVM = "records/toy/paper/svm/default/shots-2"


@pytest.fixture
def studies(fake: Callable[..., Any], tmp_path: Path) -> tuple[Path, Path]:
    """A study of two methods, and the same after one of them got better."""
    made = fake()
    before = dataclasses.replace(
        made, methods=made.methods[:2], protocols=("paper",), shots=(2,), seeds=SEEDS, sweeps={}, failing=()
    )
    svm, diffclip = before.methods
    before.write()
    after = dataclasses.replace(
        before, folder=tmp_path / "after", methods=(dataclasses.replace(svm, skill=0.8), diffclip)
    )
    after.write()
    for study in (before, after):
        assert main(["runs", "--study", str(study.folder)]) == 0
    return before.folder, after.folder


def compared(studies: tuple[Path, Path], out: Path) -> dict[str, dict[str, str]]:
    assert main(["compare", *map(str, studies), "--out", str(out)]) == 0
    with next(out.glob("*.csv")).open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def oa(folder: Path) -> np.ndarray:
    return np.array([json.loads((folder / f"{SVM}/seed-{seed}.json").read_text())["metrics"]["oa"] for seed in SEEDS])


def test_cells_are_paired_over_the_same_splits(
    studies: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(studies, tmp_path / "out")
    before, after = map(oa, studies)
    row = found["svm"]
    assert float(row["difference"]) == pytest.approx((after - before).mean())
    assert float(row["95_interval_low"]) < (after - before).mean() < float(row["95_interval_high"])
    assert float(row["p_holm"]) == pytest.approx(wilcoxon(after, before, method="exact").pvalue)
    assert (row["pairs"], row["verdict"]) == ("6", "higher")
    assert found["diffclip"]["verdict"] == "the same runs"
    told = capsys.readouterr().out
    assert "| SVM " in told
    # What did not change is no comparison to correct for.
    assert "Holm-corrected over 1 cells" in told
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".tex", ".csv", ".html"}


def test_runs_without_a_partner_do_not_count(studies: tuple[Path, Path], tmp_path: Path) -> None:
    for method in ("svm/default/shots-2", "diffclip/tuned/shots-2_window-5_mask-0.6"):
        for seed in (4, 5):
            (studies[1] / f"records/toy/paper/{method}/seed-{seed}.json").unlink()
    assert main(["runs", "--study", str(studies[1])]) == 0
    before = oa(studies[0])[:4]
    found = compared(studies, tmp_path / "out")
    row = found["svm"]
    assert float(row[studies[0].name]) == pytest.approx(before.mean())
    assert float(row["after"]) - float(row["fake"]) == pytest.approx(float(row["difference"]))
    assert (row["pairs"], found["diffclip"]["verdict"]) == ("4", "the same runs")
    told = next((tmp_path / "out").glob("*.md")).read_text()
    assert "Holm-corrected over 1 cells" in told
    assert "With 4 pairs the interval over seeds covers at most 87.5 %" in told


def test_few_pairs_cannot_decide_for_many_cells(studies: tuple[Path, Path], tmp_path: Path) -> None:
    place = studies[1] / "records/toy/paper/diffclip/tuned/shots-2_window-5_mask-0.6"
    for path in place.glob("seed-?.json"):
        path.write_text(path.read_text().replace("f" * 64, "e" * 64))
    failed = place / "seed-0.json"
    failed.write_text(failed.read_text().replace('"status": "ok"', '"status": "failed"'))
    assert main(["runs", "--study", str(studies[1])]) == 0
    found = compared(studies, tmp_path / "out")
    assert found["svm"]["verdict"] == "cannot decide: 6 pairs"
    assert found["diffclip"]["verdict"] == "cannot decide: 5 pairs"


def test_other_splits_are_not_paired(studies: tuple[Path, Path], tmp_path: Path) -> None:
    for path in studies[1].rglob("seed-*.json"):
        path.write_text(path.read_text().replace('"split_sha256": "paper', '"split_sha256": "other'))
    assert main(["runs", "--study", str(studies[1])]) == 0
    row = compared(studies, tmp_path / "out")["svm"]
    before, after = map(oa, studies)
    known = ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    assert (float(row["95_interval_low"]), float(row["95_interval_high"])) == pytest.approx((known.low, known.high))
    assert (row["pairs"], row["p_holm"], row["verdict"]) == ("0", "", "higher")


def test_cells_of_one_study_are_counted_and_none_in_common_is_refused(
    studies: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(studies[1] / "records/toy/paper/diffclip")
    assert main(["runs", "--study", str(studies[1])]) == 0
    assert list(compared(studies, tmp_path / "out")) == ["svm"]
    assert "Cells of fake alone, not shown: 1" in capsys.readouterr().out
    shutil.rmtree(studies[1] / "records/toy/paper/svm")
    assert main(["runs", "--study", str(studies[1])]) == 0
    assert main(["compare", *map(str, studies), "--out", str(tmp_path / "out")]) == 2
    assert "no cell has runs in both" in capsys.readouterr().err


def test_published_numbers_are_the_other_side(
    studies: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(studies[0]), "published", "--out", str(tmp_path / "out")]) == 0
    assert "Roy et al." in capsys.readouterr().out
    assert main(["compare", str(studies[0]), "published", "--metric", "aa"]) == 2
    assert "--metric: found 'aa'" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "out"])
def test_a_file_in_place_of_the_folder_is_refused(
    studies: tuple[Path, Path], tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    assert main(["compare", *map(str, studies), "--out", str(file / below)]) == 2
    assert f"found a file at {file}, expected a folder" in capsys.readouterr().err
    assert file.read_text() == "kept"

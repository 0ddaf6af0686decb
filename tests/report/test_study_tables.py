"""Tables beside the main one: comparisons, ablation, leakage, drop, ranks, sweep, sizes."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind, wilcoxon

from report.__main__ import main


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a study of variants over eight seeds."""
    from tests.report.conftest import CONTROLS, METHODS, SWEEP, FakeStudy

    svm, tuned = METHODS[:2]
    variants = (
        dataclasses.replace(tuned, variant="bare", skill=0.5),
        dataclasses.replace(tuned, variant="prompts-p2", skill=0.72),
    )
    folder = tmp_path_factory.mktemp("variants") / "fake"
    study = FakeStudy(
        folder, (svm, tuned, *variants, *CONTROLS), shots=(1, 2), seeds=tuple(range(8)), failing=(), sweeps={"s": SWEEP}
    )
    study.write()
    for command in ("runs", "check", "tables"):
        assert main([command, "--study", str(folder)]) == 0
    return folder / "tables"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def oa(tables: Path, row: str) -> np.ndarray:
    paths = sorted((tables.parent / f"records/toy/{row}").glob("seed-?.json"))
    return np.array([json.loads(path.read_text())["metrics"]["oa"] for path in paths])


def test_comparisons_are_scipys_over_the_same_splits(tables: Path) -> None:
    found = [row for row in rows_of(tables / "toy_paper_comparisons.csv") if row["shots"] == "2"]
    best = "prompts-p2" if found[0]["highest"] == "DiffCLIP (prompts-p2)" else "tuned"
    row = next(row for row in found if row["method"] == "svm")
    pair = [
        oa(tables, f"paper/{name}") for name in (f"diffclip/{best}/shots-2_window-5_mask-0.6", "svm/default/shots-2")
    ]
    assert float(row["difference"]) == pytest.approx(float(np.mean(pair[0] - pair[1])))
    assert float(row["p"]) == pytest.approx(wilcoxon(*pair, method="exact").pvalue)
    assert (row["pairs"], row["verdict"]) == ("8", "higher")
    assert float(row["95_interval_low"]) > 0


def test_the_ablation_gives_variant_minus_reference_with_the_number_of_pairs(tables: Path) -> None:
    row = next(row for row in rows_of(tables / "toy_paper_ablation.csv") if row["variant"] == "bare")
    place = "paper/diffclip/{}/shots-2_window-5_mask-0.6"
    expected = float(np.mean(oa(tables, place.format("bare")) - oa(tables, place.format("tuned"))))
    assert float(row["2_shots_difference"]) == pytest.approx(expected)
    assert float(row["2_shots_95_interval_low"]) < expected < float(row["2_shots_95_interval_high"]) < 0
    text = (tables / "toy_paper_ablation.md").read_text()
    assert f"−{abs(expected):.2f}\\*" in text
    assert "over 8 pairs" in text


def test_intervals_of_few_pairs_say_how_little_they_cover(tables: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    shutil.copytree(tables.parent, folder, ignore=shutil.ignore_patterns("tables"))
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**study, "seeds": [0, 1, 2]}))
    for command in ("runs", "tables"):
        assert main([command, "--study", str(folder)]) == 0
    for kind in ("ablation", "prompts", "comparisons"):
        limited = "With 3 pairs the interval over seeds covers at most 75 %"
        assert limited in (folder / f"tables/toy_paper_{kind}.md").read_text(), kind
        assert "covers at most" not in (tables / f"toy_paper_{kind}.md").read_text(), kind


def test_the_table_of_prompts_has_the_reference_and_the_prompts(tables: Path) -> None:
    found = [row["variant"] for row in rows_of(tables / "toy_paper_prompts.csv")]
    assert found == ["tuned", "prompts-p2"]


def test_leakage_is_the_accuracy_near_training_pixels_and_elsewhere(tables: Path) -> None:
    checked = [row for row in rows_of(tables.parent / "predictions.csv") if "paper/svm/default/shots-2" in row["path"]]
    near = [100 * int(row["near_right"]) / int(row["near"]) for row in checked]
    row = next(row for row in rows_of(tables / "toy_paper_leakage.csv") if row["method"] == "svm")
    assert float(row["2_shots_oa_near_mean"]) == pytest.approx(statistics.mean(near))
    difference = float(row["2_shots_oa_near_mean"]) - float(row["2_shots_oa_elsewhere_mean"])
    assert float(row["2_shots_difference_mean"]) == pytest.approx(difference)
    assert row["2_shots_overlap"] == "scene"


def test_the_drop_to_strict_has_welchs_interval(tables: Path) -> None:
    row = next(row for row in rows_of(tables / "toy_strict_drop.csv") if row["method"] == "svm")
    leaky, strict = (oa(tables, f"{protocol}/svm/default/shots-2") for protocol in ("paper", "strict"))
    known = ttest_ind(leaky, strict, equal_var=False).confidence_interval(0.95)
    assert float(row["2_shots_drop"]) == pytest.approx(leaky.mean() - strict.mean())
    assert float(row["2_shots_95_interval_low"]) == pytest.approx(known.low)
    assert float(row["2_shots_95_interval_high"]) == pytest.approx(known.high)
    assert "→" in row["2_shots_rank"]


def test_ranks_leave_controls_out_and_say_what_the_tests_found(tables: Path) -> None:
    found = rows_of(tables / "paper_ranks.csv")
    assert {row["title"] for row in found} == {"SVM", "DiffCLIP (tuned)", "DiffCLIP (bare)", "DiffCLIP (prompts-p2)"}
    ranks = [float(row["mean_rank"]) for row in found]
    assert ranks == sorted(ranks)
    assert sum(ranks) == 10
    text = (tables / "paper_ranks.md").read_text()
    for sign in "†‡§¶":
        assert (sign in text.split("- Friedman")[0]) == (f"- {sign} " in text)
    assert "‡" in text
    assert "Friedman's test over 2 blocks and 4 methods" in text
    assert "are not independent" in text


def test_a_sweep_has_windows_by_rows_and_mask_ratios_by_columns(tables: Path) -> None:
    found = rows_of(tables / "toy_paper_sweep-s.csv")
    cell = next(row for row in found if (row["window"], row["mask_ratio"]) == ("9", "0.3"))
    expected = oa(tables, "paper/diffclip/tuned/shots-2_window-9_mask-0.3").mean()
    assert float(cell["mean"]) == pytest.approx(expected)
    assert len(found) == 4


def test_costs_are_per_run_with_parameters_where_a_method_counts_them(tables: Path) -> None:
    row = next(row for row in rows_of(tables / "toy_paper_cost.csv") if row["method"] == "svm")
    assert (row["fit_s_median"], row["predict_s_median"], row["parameters"]) == ("1.5", "0.5", "")


def test_sizes_are_those_of_scene_and_splits(tables: Path) -> None:
    (scene,) = rows_of(tables / "data-sets.csv")
    labels = np.load(tables.parent / "scenes/toy/labels.npy")
    assert (scene["size"], float(scene["labelled"])) == ("24 × 30", (labels > 0).sum())
    assert scene["paper_training_test_pixels_2_shots"] == f"6 / {(labels > 0).sum() - 6}"
    classes = rows_of(tables / "toy_paper_classes.csv")
    assert [float(row["labelled"]) for row in classes] == np.bincount(labels.ravel())[1:].tolist()


def test_an_incomplete_study_reports_what_is_there(tables: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    shutil.copytree(tables.parent, folder)
    shutil.rmtree(folder / "tables")
    shutil.rmtree(folder / "records/toy/paper/diffclip/bare")
    shutil.rmtree(folder / "records/toy/strict")
    for command in ("runs", "tables"):
        assert main([command, "--study", str(folder)]) == 0
    assert "not known: no record" in (folder / "tables/toy_paper_ablation.md").read_text()
    assert "Left out, as runs are missing: DiffCLIP (bare)" in (folder / "tables/paper_ranks.md").read_text()
    assert "Methods with all runs: 0," in (folder / "tables/strict_ranks.md").read_text()
    assert "No run has been recorded yet" in (folder / "tables/toy_strict_drop.md").read_text()

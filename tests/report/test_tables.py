"""runs.csv -> tables: numbers, marks, footnotes, and the four formats."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from report.__main__ import main
from report.blocks import blocks_of
from report.frame import entries, read_runs, view
from report.published import Published, scores
from report.study import read_study
from report.tables.latex import escape


@pytest.fixture(scope="module")
def tables(study_folder: Path) -> Path:
    """The folder of tables of the default fake study."""
    assert main(["tables", "--study", str(study_folder)]) == 0
    return study_folder / "tables"


def make(folder: Path, *more: str) -> Path:
    assert main(["runs", "--study", str(folder)]) == 0
    assert main(["tables", "--study", str(folder), *more]) == 0
    return folder / "tables"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def markdown_row(path: Path, start: str) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if line.startswith(f"| {start}")]
    assert len(lines) == 1, f"expected one row of {start}"
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def metric(folder: Path, row: str, name: str = "oa") -> list[float]:
    paths = sorted((folder / f"records/toy/{row}").glob("seed-?.json"))
    records = [json.loads(path.read_text()) for path in paths]
    return [record["metrics"][name] for record in records if record["status"] == "ok"]


def test_every_table_is_there_in_four_formats(tables: Path) -> None:
    main_kinds = ("main", "intervals", "comparisons", "per_class", "classes", "cost")
    kinds = [f"toy_{protocol}_{kind}" for protocol in ("paper", "strict") for kind in main_kinds]
    kinds += ["toy_paper_leakage", "toy_strict_drop", "toy_paper_sweep-mask-window"]
    kinds += ["data-sets", "scorecard", "paper_ranks", "strict_ranks"]
    expected = {f"{kind}.{form}" for kind in kinds for form in ("md", "tex", "csv", "html")}
    assert {path.name for path in tables.iterdir()} == expected


def test_the_main_table_prints_mean_and_sample_deviation_over_seeds(study_folder: Path, tables: Path) -> None:
    values = metric(study_folder, "paper/diffclip/tuned/shots-2_window-5_mask-0.6", "kappa")
    assert len(values) == 3
    expected = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
    assert markdown_row(tables / "toy_paper_main.md", "DiffCLIP")[3] == f"<u>{expected}</u>"


def test_three_seeds_leave_a_tie_and_controls_are_not_marked(tables: Path) -> None:
    table = tables / "toy_strict_main.md"
    assert all(cell.startswith("<u>") for cell in markdown_row(table, "DiffCLIP")[1:])
    assert all(cell.endswith(" ≈") for cell in markdown_row(table, "SVM")[1:])
    assert "3 pairs cannot decide" in table.read_text()
    assert markdown_row(table, "True labels")[1] == "100.00 ± 0.00"
    assert r"\textbf{100.00}" not in (tables / "toy_strict_main.tex").read_text()


def test_eight_seeds_can_say_which_is_best(fake: Callable[..., Any]) -> None:
    folder = make(fake(seeds=tuple(range(8)), protocols=("strict",), shots=(2,), failing=(), sweeps={}).write())
    assert all(cell.startswith("**") for cell in markdown_row(folder / "toy_strict_main.md", "DiffCLIP")[1:])
    text = (folder / "toy_strict_main.md").read_text()
    assert "over 8 paired splits" in text
    row = next(row for row in rows_of(folder / "toy_strict_main.csv") if row["mark"] == "best")
    assert float(row["seeds_low"]) < float(row["mean"]) < float(row["seeds_high"])
    assert float(row["pixels_low"]) < float(row["mean"]) < float(row["pixels_high"])


def test_controls_stand_at_the_bottom_after_a_rule(tables: Path) -> None:
    body = (tables / "toy_paper_main.tex").read_text().split(r"\midrule")
    assert len(body) == 3
    assert "SVM" in body[1]
    assert "labels" not in body[1]
    assert "True labels" in body[2]
    assert "Random labels" in body[2]


def test_a_cell_says_how_many_runs_it_has(study_folder: Path, tables: Path) -> None:
    values = metric(study_folder, "paper/svm/default/shots-10")
    assert len(values) == 2
    expected = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} (2 of 3 runs)"
    cells = markdown_row(tables / "toy_paper_main.md", "SVM")
    assert cells[4] == expected
    assert "runs" not in cells[1]
    text = (tables / "toy_paper_main.md").read_text()
    assert "Failed: SVM (10 shots seed 2): RuntimeError: out of luck" in text


def test_footnotes_mark_what_a_reader_must_know(tables: Path) -> None:
    text = (tables / "toy_paper_main.md").read_text()
    assert "| SVM†‡ " in text
    assert "| DiffCLIP (tuned)§ " in text
    for sign in ("† transductive", "‡ features", "§ CLIP weights"):
        assert f"- {sign}" in text


@pytest.mark.parametrize(
    ("clip_weights", "marked"),
    [
        ("none", False),
        ("random", True),
        ("ViT-B-32/openai", False),
        ("file: random (0123456789ab)", True),
        ("file: ViT-B-32/openai (0123456789ab)", False),
        ("random.pt (0123456789ab)", False),
    ],
)
def test_random_weights_are_marked_wherever_they_were_applied(clip_weights: str, marked: bool) -> None:
    assert signs(clip_weights=clip_weights) == ("§" if marked else "")


def test_whoever_chooses_by_labels_beyond_the_shots_is_marked() -> None:
    assert (signs(validation_pixels=0), signs(validation_pixels=200)) == ("", "¶")


def signs(**changes: object) -> str:
    """Return the footnote signs of a run of DiffCLIP that differs from a plain one in `changes`."""
    traits = {"method": "diffclip", "variant": "v", "title": "DiffCLIP", "transductive": False, "reach": 2}
    plain = {**traits, "control": False, "clip_weights": "none", "validation_pixels": 0}
    runs = pd.DataFrame([plain | changes])
    return entries(runs, [("diffclip", "v")], runs)[0].signs


def test_the_caption_says_what_was_measured_and_where(tables: Path) -> None:
    caption = (tables / "toy_paper_main.md").read_text().splitlines()[0]
    for part in (
        "Toy scene – SIMULATED SCENE",
        "paper protocol",
        "ddof = 1",
        "seeds 0–2",
        "Window 5 × 5",
        "mask ratio 0.6",
        "Test pixels: ",
        "overlap a training window: 2.0–21.0 %",
        "Commit 0123456789",
        "Toy CPU",
    ):
        assert part in caption


def test_points_of_a_sweep_stay_out_of_the_main_table(study_folder: Path, tables: Path) -> None:
    cells = [row for row in rows_of(tables / "toy_paper_main.csv") if row["method"] == "diffclip"]
    assert {(row["shots"], row["n"]) for row in cells} == {("2", "3"), ("10", "3")}
    assert len(cells) == 6


def test_the_csv_holds_the_numbers_at_full_precision(study_folder: Path, tables: Path) -> None:
    values = metric(study_folder, "strict/svm/default/shots-10", "aa")
    found = [
        row
        for row in rows_of(tables / "toy_strict_main.csv")
        if (row["method"], row["shots"], row["metric"]) == ("svm", "10", "aa")
    ]
    assert len(found) == 1
    assert float(found[0]["mean"]) == pytest.approx(statistics.mean(values), abs=1e-12)
    assert float(found[0]["std"]) == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert (found[0]["n"], found[0]["runs_expected"], found[0]["control"]) == ("3", "3", "False")


def test_the_table_per_class_shows_the_most_shots_with_test_pixels(study_folder: Path, tables: Path) -> None:
    paths = sorted((study_folder / "records/toy/strict/diffclip/tuned/shots-10_window-5_mask-0.6").glob("seed-?.json"))
    records = [json.loads(path.read_text()) for path in paths]
    values = [record["metrics"]["per_class"]["Road_1"] for record in records]
    counts = [record["split"]["test_pixels_per_class"]["Road_1"] for record in records]
    row = markdown_row(tables / "toy_strict_per_class.md", r"Road\_1")
    assert row[1] == (f"{min(counts)}–{max(counts)}" if min(counts) < max(counts) else str(counts[0]))
    assert f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" in row[3]
    metrics = {row["metric"] for row in rows_of(tables / "toy_strict_per_class.csv")}
    assert metrics == {"accuracy", "oa", "aa", "kappa"}


def test_one_seed_shows_no_deviation(fake: Callable[..., Any]) -> None:
    folder = make(fake(seeds=(4,), failing=(), sweeps={}).write())
    for name in ("toy_paper_main.md", "toy_paper_per_class.md"):
        text = (folder / name).read_text()
        assert " ± " not in text.split("\n\n")[1]
        assert "one run each, no deviation over seed 4" in text
    assert {row["std"] for row in rows_of(folder / "toy_paper_main.csv")} == {""}
    assert r"\pm" not in (folder / "toy_paper_main.tex").read_text()


def test_a_scene_without_records_still_has_its_tables(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), sweeps={}).write()
    shutil.rmtree(folder / "records")
    tables = make(folder)
    text = (tables / "toy_paper_main.md").read_text()
    assert "No run has been recorded yet" in text
    assert "SIMULATED SCENE" in text
    assert markdown_row(tables / "toy_paper_main.md", "svm")[1] == "0 of 3 runs"
    assert "OA" in (tables / "toy_paper_per_class.md").read_text()


def test_only_the_table_asked_for_is_made(fake: Callable[..., Any]) -> None:
    folder = make(fake(sweeps={}).write(), "--scene", "toy", "--protocol", "strict")
    assert {path.name.split("_")[1] for path in folder.iterdir()} == {"strict"}


def test_a_misspelt_protocol_is_refused(study_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "--study", str(study_folder), "--protocol", "papr"]) == 2
    assert "did you mean 'paper'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "choice"),
    [("tables", "--scene"), ("tables", "--protocol"), ("figures", "--scene"), ("figures", "--kind")],
)
def test_a_choice_beside_overviews_is_refused(
    study_folder: Path, command: str, choice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--study", str(study_folder), "--overviews", choice, "shots"]) == 2
    assert f"{choice}: found it beside --overviews" in capsys.readouterr().err


def test_a_row_has_the_signs_of_the_runs_that_are_shown(study_folder: Path) -> None:
    study = read_study(study_folder)
    here = read_runs(study)
    runs = pd.concat([here.assign(transductive=False), here.assign(scene="other")])
    study = dataclasses.replace(study, scenes=("toy", "other"))
    signs = {scene: view(study, runs, scene, "paper").entries[0].signs for scene in study.scenes}
    assert signs == {"toy": "‡", "other": "†‡"}
    assert next(entry for entry in blocks_of(study, runs, "strict").entries if entry.row[0] == "svm").signs == "†‡"
    wanted = Published(
        method="svm", title="SVM", protocol="paper", shots=2, drawn="", source="", numbers={"toy": {"oa": 1}}
    )
    other = wanted.model_copy(update={"numbers": {"other": wanted.numbers["toy"]}})
    assert [score.name for score in scores(study, runs, [wanted, other])] == ["SVM‡", "SVM†‡"]


def test_a_scene_goes_by_its_present_title(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), shots=(2,), sweeps={}, failing=()).write()
    newest = folder / "records/toy/paper/svm/default/shots-2/seed-1.json"
    text = newest.read_text().replace("Toy scene", "Newest title").replace("2025-01-01", "2026-01-01")
    newest.write_text(text)
    scene = folder / "scenes/toy/scene.json"
    scene.write_text(scene.read_text().replace("Toy scene", "Present title"))
    for title in ("Present title", "Newest title"):
        tables = make(folder)
        assert (tables / "toy_paper_main.md").read_text().startswith(f"{title} – SIMULATED SCENE.")
        assert f"| {title} (simulated)" in (tables / "data-sets.md").read_text()
        scene.unlink(missing_ok=True)


def test_runs_must_be_collected_first(fake: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = fake(shots=(2,), sweeps={}).write()
    assert main(["tables", "--study", str(folder)]) == 2
    assert "python -m report runs" in capsys.readouterr().err


def test_cells_of_two_versions_of_the_code_are_warned_of_wherever_one_of_them_stands(fake: Callable[..., Any]) -> None:
    folder = fake(shots=(2,), sweeps={}).write()
    for path in (folder / "records/toy/strict/svm/default/shots-2").glob("*.json"):
        path.write_text(path.read_text().replace('"sources_sha256": "s"', '"sources_sha256": "older"'))
    tables = make(folder)
    for name in ("toy_paper_main", "toy_strict_main", "toy_strict_drop"):
        said = (tables / f"{name}.md").read_text()
        assert "Warning: SVM: its runs in this study are of 2 versions of its code." in said, name
        assert said.count("versions of its code") == 1


def test_latex_escapes_what_is_special() -> None:
    assert escape("A_1 & 50% ~ {x}") == r"A\_1 \& 50\% \textasciitilde{} \{x\}"
    assert escape("5 m², ≈ naïve 木") == r"5 m$^2$, $\approx$ na\"{\i}ve 木"
    assert escape("cm⁻¹ xᵝ ≤ ≠") == r"cm$^-$$^1$ x$^{\beta}$ $\leq$ $\neq$"


def test_latex_keeps_letters() -> None:
    assert escape("wa\u0308sser Straße Œuvre Łódź") == r"w\"asser Stra\ss{}e \OE{}uvre \L{}\'od\'z"
    assert escape("Żytnia, Çatalhöyük, Őrség, Ağaç, Ñ, Å") == (
        r"\.Zytnia, \c{C}atalh\"oy\"uk, \H{O}rs\'eg, A\u{g}a\c{c}, \~N, \r{A}"
    )
    assert escape("ấ κ µm x₂ “a—b” ﬁ") == r"\'{\^a} $\kappa$ $\mu$m x$_2$ ``a---b'' fi"


def test_latex_is_balanced_and_every_row_fits_its_columns(tables: Path) -> None:
    for path in tables.glob("*.tex"):
        text = path.read_text()
        assert text.isascii()
        opened = re.findall(r"\\begin\{(\w+\*?)\}", text)
        assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+\*?)\}", text))
        plain = re.sub(r"\\[\\{}&%$#_]", "", text)
        assert plain.count("{") == plain.count("}")
        assert plain.count("$") % 2 == 0
        columns = re.search(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", text)
        assert columns is not None
        assert r"\caption{" in text
        assert rf"\label{{tab:{path.stem.replace('_', '-')}}}" in text
        body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        for row in rows:
            spans = sum(int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", row))
            # Where a table goes on in blocks, the last may be narrower.
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans <= len(columns[1]), row


def test_a_wide_table_continues_in_blocks(fake: Callable[..., Any]) -> None:
    text = (make(fake(shots=(1, 2, 4, 8), sweeps={}).write()) / "toy_paper_main.tex").read_text()
    assert r"\begin{tabular}{@{}lrrrrrr@{}}" in text
    assert text.count("DiffCLIP") == 2
    assert text.count(r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}") == 2


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_in_a_document_with_booktabs(tables: Path, tmp_path: Path) -> None:
    inputs = "\n".join(rf"\input{{{path}}}\clearpage" for path in sorted(tables.glob("*.tex")))
    document = rf"\documentclass[twocolumn]{{article}}\usepackage{{booktabs}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_torch_is_never_imported(study_folder: Path) -> None:
    program = (
        "import sys; from report.__main__ import main; "
        f"study = ['--study', {str(study_folder)!r}]; code = main(['runs', *study]) or main(['tables', *study]); "
        "assert 'torch' not in sys.modules ; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

"""runs.csv -> figures: which files there are, what they say, and that reruns give the same bytes."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from diffclip.study.figures import MAIN as SCENE_FIGURES
from report.__main__ import main
from report.figures import MAIN
from report.figures.confusion import summed
from report.figures.errors import errors_figure
from report.figures.few import few
from report.figures.leakage import leakage_figure
from report.figures.maps import maps_figure
from report.figures.ranks import ranks_figure
from report.figures.shots import shots_figure, spread
from report.figures.sweep import sweep_figure
from report.frame import Entry, View, class_names, entries, read_runs, view
from report.statistics.ranks import critical_difference
from report.study import read_study
from report.style import look, mark_shots, overview_figure, save, styled
from tests.report.conftest import FakeMethod


@pytest.fixture(scope="module")
def figures(study_folder: Path) -> Path:
    """The folder of figures of the default fake study."""
    assert main(["figures", "--study", str(study_folder)]) == 0
    return study_folder / "figures"


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with styled():
        yield


def view_of(folder: Path, protocol: str = "paper", sweep: str | None = None) -> View:
    study = read_study(folder)
    return view(study, read_runs(study), "toy", protocol, sweep)


def words(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text) if isinstance(text, Text))


def test_every_figure_is_there_as_pdf_and_png(figures: Path) -> None:
    kinds = [f"toy_{protocol}_{kind}" for protocol in ("paper", "strict") for kind in SCENE_FIGURES]
    kinds += ["toy_paper_leakage", "toy_paper_sweep-mask-window", "paper_ranks", "strict_ranks"]
    assert {path.name for path in figures.iterdir()} == {f"{kind}.{form}" for kind in kinds for form in ("pdf", "png")}
    for path in figures.glob("*.png"):
        height, width = imread(path).shape[:2]
        # At 200 dots per inch: between half a column and a page of a paper.
        assert 300 < width <= 1400, path.name
        assert 200 < height < 2200, path.name
    for path in figures.glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")
        assert b"/Type3" not in path.read_bytes()


def test_reruns_give_the_same_bytes(study_folder: Path, figures: Path) -> None:
    names = [f"toy_paper_{kind}.{form}" for kind in ("shots", "maps") for form in ("pdf", "png")]
    before = {name: (figures / name).read_bytes() for name in names}
    for name in names:
        (figures / name).unlink()
    options = [
        "--study",
        str(study_folder),
        "--scene",
        "toy",
        "--protocol",
        "paper",
        "--kind",
        "shots",
        "--kind",
        "maps",
    ]
    assert main(["figures", *options]) == 0
    assert before == {name: (figures / name).read_bytes() for name in names}


def test_another_process_gives_the_same_bytes_too(study_folder: Path, figures: Path) -> None:
    names = [f"toy_paper_cost.{form}" for form in ("pdf", "png")]
    before = {name: (figures / name).read_bytes() for name in names}
    words = ["--study", str(study_folder), "--scene", "toy", "--protocol", "paper", "--kind", "cost"]
    subprocess.run([sys.executable, "-m", "report", "figures", *words], check=True, capture_output=True)
    assert before == {name: (figures / name).read_bytes() for name in names}


@pytest.mark.parametrize("make", MAIN.values(), ids=list(MAIN))
def test_a_simulated_scene_is_called_so_in_the_title(study_folder: Path, make: Callable[[View], Figure]) -> None:
    figure = make(view_of(study_folder))
    assert figure.get_suptitle().replace("\n", " ").endswith("Toy scene (SIMULATED), paper protocol")


def test_a_sweep_says_so_too_and_has_a_line_per_window(study_folder: Path) -> None:
    figure = sweep_figure(view_of(study_folder, sweep="mask-window"), "mask-window")
    assert "(SIMULATED)" in figure.get_suptitle()
    against_mask, against_window = figure.axes
    assert [text.get_text() for text in against_mask.get_legend().get_texts()] == ["5", "9"]
    assert [text.get_text() for text in against_window.get_legend().get_texts()] == ["0.3", "0.6"]
    assert list(against_mask.get_xticks()) == [0.3, 0.6]


@pytest.mark.parametrize("axis", ["windows", "mask_ratios"])
def test_a_sweep_of_one_axis_has_a_line_per_method(fake: Callable[..., Any], axis: str) -> None:
    sweep = {**fake().sweeps["mask-window"], axis: None}
    folder = fake(protocols=("strict",), sweeps={"one": sweep}).write()
    assert main(["runs", "--study", str(folder)]) == 0
    assert main(["figures", "--study", str(folder), "--sweep", "one"]) == 0
    assert [path.name for path in sorted((folder / "figures").iterdir())] == [
        "toy_paper_sweep-one.pdf",
        "toy_paper_sweep-one.png",
    ]
    (axes,) = sweep_figure(view_of(folder, sweep="one"), "one").axes
    assert axes.get_xlabel() == ("mask ratio" if axis == "windows" else "window (pixels)")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["DiffCLIP (tuned)"]


def test_the_shots_figure_tells_its_interval_its_axis_and_what_is_missing(study_folder: Path) -> None:
    figure = shots_figure(view_of(study_folder))
    said = words(figure)
    assert "95 % BCa bootstrap interval of the mean over seeds (covers 75 % at most" in said
    assert "Runs missing or failed: SVM 1 of 6" in said
    assert "chance (random labels)" in said
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "10"]
    start = axes.get_ylim()[0]
    assert start == 0 or f"axis starts at {start:.0f}" in axes.get_ylabel()


def test_one_number_of_shots_is_drawn_as_rows_of_points(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), shots=(2,), seeds=(0,), sweeps={}).write()
    assert main(["runs", "--study", str(folder)]) == 0
    figure = shots_figure(view_of(folder))
    assert "no interval can be given" in words(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["SVM", "DiffCLIP (tuned)"]


def test_many_methods_get_a_panel_each_and_maps_show_the_best_few(fake: Callable[..., Any]) -> None:
    rivals = [FakeMethod(f"rival_{n}", f"Rival {n}", 0.3 + 0.02 * n) for n in range(17)]
    folder = fake(methods=(*rivals, *fake().methods), protocols=("paper",), seeds=(0, 1), sweeps={}, failing=()).write()
    assert main(["runs", "--study", str(folder)]) == 0
    figure = shots_figure(view_of(folder))
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == [*(f"Rival {n}" for n in range(17)), "SVM", "DiffCLIP (tuned)"]
    assert figure.axes[0].get_ylim() == (0, 100)
    # 19 panels in rows of 6: the lowest of each column is numbered, most of them in the last row but one.
    numbered = [place for place, axes in enumerate(figure.axes) if "10" in tick_labels(axes)]
    assert numbered == [13, 14, 15, 16, 17, 18]
    figure = maps_figure(view_of(folder))
    assert "Shown: 14 of 19 methods" in words(figure)
    assert not any("Rival 0" in axes.get_title() for axes in figure.axes)
    assert any("DiffCLIP" in axes.get_title() for axes in figure.axes)


def test_few_variants_of_a_method_share_a_panel_and_look_alike_in_all(fake: Callable[..., Any]) -> None:
    rivals = [
        FakeMethod(name, name.upper(), 0.3, variant=variant)
        for name, variants in {"one": "abcd", "two": "bc", "many": "abcde"}.items()
        for variant in variants
    ]
    folder = fake(methods=(*rivals, *fake().methods), protocols=("paper",), seeds=(0, 1), sweeps={}, failing=()).write()
    assert main(["runs", "--study", str(folder)]) == 0
    figure = shots_figure(view_of(folder))
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ["ONE", "TWO", *(f"MANY ({variant})" for variant in "abcde"), "SVM", "DiffCLIP (tuned)"]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["a", "b", "c", "d"]
    said = dict(zip(names, [handle.get_color() for handle in legend.get_lines()], strict=True))
    assert len({*said.values(), "#000000"}) == 5
    assert [line.get_color() for line in panels["TWO"].lines if line.get_marker() != "None"] == [said["b"], said["c"]]
    # All others lie behind, in one collection.
    behind = next(found for found in panels["TWO"].collections if isinstance(found, LineCollection))
    assert len(behind.get_paths()) == len(rivals)


def test_a_pdf_has_one_font_and_no_ligature_in_several_lines_either(tmp_path: Path) -> None:
    figure = overview_figure("DiffCLIP, fine\nof two first lines", 3, 1, ["A note on efficiency."])
    pdf, _ = save(figure, tmp_path / "text.{format}")
    assert pdf.read_bytes().count(b"/FontFile2") == 1
    assert b"DejaVuSansPlain" in pdf.read_bytes()


def tick_labels(axes: Axes) -> list[str]:
    """Return the numbers that are seen below an axes."""
    shown = axes.get_visible() and axes.xaxis.get_visible()
    return [label.get_text() for label in axes.get_xticklabels() if shown and label.get_visible()]


def test_shots_are_numbered_where_there_is_room() -> None:
    axes = Figure().subplots()
    mark_shots(axes, [2, 4, 8, 10, 16], 0.9)
    assert tick_labels(axes) == ["2", "4", "8", "", "16"]
    mark_shots(axes, [2, 4, 8, 10, 16], 2.0)
    assert tick_labels(axes) == ["2", "4", "8", "10", "16"]
    mark_shots(axes, [4], 2.0)
    assert tick_labels(axes) == ["4"]


def test_a_few_are_chosen_by_all_seeds_whichever_is_drawn() -> None:
    rows = [("even", 0, 70.0), ("even", 1, 72.0), ("lucky", 0, 90.0), ("lucky", 1, 30.0), ("late", 1, 99.0)]
    runs = pd.DataFrame(rows, columns=["method", "seed", "oa"]).assign(variant="default", status="ok")
    entries = [Entry((name, "default"), name, control=False, signs="") for name in ("even", "lucky", "late")]
    shown = cast(View, SimpleNamespace(rivals=entries))
    assert [entry.name for entry in few(shown, runs, 1, runs[runs["seed"] == 0])] == ["even"]
    assert [entry.name for entry in few(shown, runs, 1)] == ["late"]


def test_maps_show_predictions_of_test_pixels_and_stripes_elsewhere(study_folder: Path) -> None:
    figure = maps_figure(view_of(study_folder, "strict"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["False colour", "Ground truth"]
    record = json.loads((study_folder / "records/toy/strict/svm/default/shots-10/seed-0.json").read_text())
    assert titles[2].replace("\n", " ").replace(",", "") == f"SVM OA {record['metrics']['oa']:.1f} %"
    assert "too near one, not tested" in words(figure)
    truth, predicted = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[1:3])
    unlabelled = (truth == truth[0, 0]).all(axis=2)
    assert (predicted[unlabelled] == truth[0, 0]).all()
    greys = predicted[~unlabelled].reshape(-1, 3)
    assert {(140, 140, 140), (255, 255, 255)} <= {tuple(map(int, pixel)) for pixel in greys}


def test_errors_are_where_predictions_differ_from_the_truth(study_folder: Path) -> None:
    figure = errors_figure(view_of(study_folder))
    record = json.loads((study_folder / "records/toy/paper/svm/default/shots-10/seed-0.json").read_text())
    wrong = next(axes for axes in figure.axes if axes.get_title().startswith("SVM"))
    assert f"errors {100 - record['metrics']['oa']:.1f} %" in wrong.get_title().replace("\n", " ")
    colours = np.asarray(wrong.images[0].get_array()).reshape(-1, 3)
    right, red = ((colours == colour).all(axis=1).sum() for colour in ((213, 217, 222), (163, 21, 21)))
    assert 100 * right / (right + red) == pytest.approx(record["metrics"]["oa"], abs=0.01)
    assert "0.50 where right" in words(figure)


def test_leakage_joins_both_accuracies_of_every_method(fake: Callable[..., Any]) -> None:
    folder = fake(sweeps={}, failing=()).write()
    assert main(["runs", "--study", str(folder)]) == 0
    figure = leakage_figure(view_of(folder))
    assert "Near and elsewhere are not told" in words(figure)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["SVM", "DiffCLIP (tuned)"]
    for line, protocol in zip(axes.lines, ("paper", "strict"), strict=True):
        runs = view_of(folder, protocol).at_shots(10).runs
        expected = [runs[runs["method"] == method]["oa"].mean() for method in ("svm", "diffclip")]
        assert line.get_label() == protocol
        assert list(line.get_xdata()) == pytest.approx(expected)
    start = axes.get_xlim()[0]
    assert start == 0 or f"axis starts at {start:.0f}" in axes.get_xlabel()


def test_leakage_is_split_where_splits_and_predictions_are_checked(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), sweeps={}, failing=()).write()
    for seed in (0, 1, 2):
        path = folder / f"splits/toy/paper/shots-10/seed-{seed}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = np.load(folder / "scenes/toy/labels.npy").ravel()
        record = folder / f"records/toy/paper/svm/default/shots-10/seed-{seed}.npz"
        np.savez(path, train=np.setdiff1d(np.flatnonzero(labels), np.load(record)["pixels"])[:1])
    for command in ("runs", "check"):
        assert main([command, "--study", str(folder)]) == 0
    (axes,) = leakage_figure(view_of(folder)).axes
    assert [line.get_label() for line in axes.lines] == ["window overlaps a training window (5 × 5)", "elsewhere"]
    checked = pd.read_csv(folder / "predictions.csv").dropna(subset=["near"])
    away = 100 - 100 * (checked["near"] / checked["pixels"])[checked["path"].str.contains("shots-10")].mean()
    assert 0 < away < 100
    assert axes.get_title() == f"Test pixels, paper protocol ({away:.1f} % elsewhere)"


def test_ranks_join_what_is_not_told_apart(fake: Callable[..., Any]) -> None:
    rivals = [FakeMethod(f"rival_{n}", f"Rival {n}", 0.2 + 0.2 * n) for n in range(4)]
    folder = fake(methods=tuple(rivals), protocols=("paper",), shots=(1, 2, 4, 8), sweeps={}, failing=()).write()
    assert main(["runs", "--study", str(folder)]) == 0
    study = read_study(folder)
    figure = ranks_figure(study, read_runs(study), "paper")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["Rival 3", "Rival 2", "Rival 1", "Rival 0"]
    bars = [line.get_ydata() for line in axes.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    difference = critical_difference(4, 4)
    assert 2 < difference < 3
    assert f"critical difference {difference:.2f}" in words(figure)
    # Ranks are 1, 2, 3 and 4, so that groups hold neighbours nearer than the difference.
    assert [(round(low + 0.25), round(high - 0.25)) for low, high in bars] == [(0, 2), (1, 3)]


def test_confusion_is_summed_over_seeds(study_folder: Path) -> None:
    shown = view_of(study_folder).at_shots(2)
    runs = shown.runs[shown.runs["method"] == "svm"]
    matrices = [np.array(json.loads((study_folder / path).read_text())["confusion"]) for path in runs["path"]]
    assert len(matrices) == 3
    np.testing.assert_array_equal(summed(shown, runs, class_names(runs)), sum(matrices))


@pytest.mark.parametrize("make", MAIN.values(), ids=list(MAIN))
def test_without_records_a_figure_says_so(fake: Callable[..., Any], make: Callable[[View], Figure]) -> None:
    folder = fake(protocols=("paper",), sweeps={}).write()
    shutil.rmtree(folder / "records")
    assert main(["runs", "--study", str(folder)]) == 0
    assert "No run has been recorded yet" in words(make(view_of(folder)))


def test_a_sweep_without_records_says_so(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("strict",)).write()
    shutil.rmtree(folder / "records/toy/paper")
    assert main(["runs", "--study", str(folder)]) == 0
    assert main(["figures", "--study", str(folder), "--kind", "sweep"]) == 0
    assert "No run" in words(sweep_figure(view_of(folder, "paper", "mask-window"), "mask-window"))


def test_an_unknown_sweep_is_refused(study_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--study", str(study_folder), "--sweep", "maskwindow"]) == 2
    assert "did you mean 'mask-window'" in capsys.readouterr().err


def test_a_sweep_under_a_protocol_that_it_lacks_is_refused(
    study_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--study", str(study_folder), "--sweep", "mask-window", "--protocol", "strict"]
    assert main(["figures", *options]) == 2
    assert "nothing to draw" in capsys.readouterr().err


def test_methods_look_different_in_colour_and_in_grey() -> None:
    found = [look(place) for place in range(11)]
    assert len({style.colour for style in found}) == 11
    assert len({(style.marker, style.dashes) for style in found}) == 11


def test_names_beside_lines_keep_their_distance() -> None:
    placed = spread([50.0, 50.5, 99.0, 99.5], gap=3.0, low=0.0, high=100.0)
    assert all(upper - lower >= 3.0 - 1e-9 for lower, upper in itertools.pairwise(placed))
    assert placed[-1] <= 100.0


def test_methods_keep_the_order_of_the_config_with_controls_last(study_folder: Path) -> None:
    study = read_study(study_folder)
    rows = (("random_labels", "default"), *study.main.rows[:2], ("ghost", "v2"))
    runs = read_runs(study)
    names = [entry.name for entry in entries(runs, rows, runs)]
    assert names == ["SVM", "DiffCLIP (tuned)", "ghost (v2)", "Random labels"]

"""Figures of an inspected run: reconstructions, losses and features, drawn from files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from report.__main__ import main
from report.figures.losses import losses_figure
from report.figures.reconstruction import reconstruction_figure
from report.figures.tsne import accuracy, tsne_figure
from report.frame import View, read_runs, view
from report.inspection import read_inspected
from report.study import read_study
from report.style import styled
from tests.report.test_figures import words

ROW = ("diffclip", "tuned")
ASKED = {"methods": {"diffclip": ["tuned"]}, "protocol": "paper", "shots": 2, "seed": 1}
POINT = "shots-2_window-5_mask-0.6"
TIMES = (0, 300)
KINDS = ("reconstruction", "losses", "tsne")
MAKERS = (reconstruction_figure, losses_figure, tsne_figure)


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with styled():
        yield


def write_inspection(folder: Path, modalities: tuple[str, ...] = ("hsi", "aux"), **changes: Any) -> Path:
    """Write what `diffclip inspect` writes: 60 pixels whose features tell the classes apart only after stage 2."""
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 2, 3], 20).astype(np.int16)
    identity = {"shots": 2, "window": 5, "mask_ratio": 0.6, **changes}
    arrays: dict[str, Any] = {
        "identity": json.dumps(identity),
        "checkpoint": "toy/stage_1",
        "modalities": np.array(modalities),
        "times": np.array(TIMES),
        "pixels": np.arange(60),
        "labels": labels,
        "mse_hidden": np.full((2, len(modalities)), 0.75),
        "mse_visible": np.full((2, len(modalities)), 0.25),
        "perplexity": np.array(19),
        **{f"tsne_{name}": rng.normal(size=(60, 2)).astype(np.float16) for name in ("before", "stage_1", "stage_2")},
        "features_none": rng.normal(size=(60, 5)).astype(np.float16),
        "features_before": rng.normal(size=(60, 8)).astype(np.float16),
        "features_stage_1": rng.normal(size=(60, 8)).astype(np.float16),
        "features_stage_2": (10 * np.eye(8)[labels] + rng.normal(size=(60, 8))).astype(np.float16),
    }
    for name in modalities:
        channels = 3 if name == "hsi" else 1
        arrays[f"{name}_input"] = np.full((10, 10, channels), 0.5, np.float16)
        arrays[f"{name}_hidden"] = np.indices((10, 10)).sum(axis=0) % 2 == 0
        arrays[f"{name}_limits"] = np.array([[0.0] * channels, [1.0] * channels], np.float16)
        for key in ("noised", "reconstructed"):
            arrays[f"{name}_{key}"] = np.full((2, 10, 10, channels), 0.25, np.float16)
    path = (
        folder / f"inspection/toy/paper/diffclip/tuned/shots-{identity['shots']}_{POINT.partition('_')[2]}/seed-1.npz"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def write_logs(folder: Path, seeds: tuple[int, ...] = (0, 1, 2), least: float = 0.5) -> None:
    """Write logs of stage 1 whose errors fall from 1 to `least` plus a tenth of the seed."""
    for seed in seeds:
        errors = np.linspace(1.0, least, 10) + seed / 10
        measured = {
            "step": list(range(20, 201, 20)),
            "hidden": np.stack([errors, errors], axis=1).tolist(),
            "visible": np.stack([errors / 2, errors / 4], axis=1).tolist(),
        }
        path = folder / f"pretrained/toy/stage_1/seed-{seed}.log.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"measured": measured}))


@pytest.fixture
def folder(fake: Callable[..., Any]) -> Path:
    """A fake study that asks to inspect one run, without what it learned."""
    folder = fake(protocols=("paper",), shots=(2,), sweeps={}).write()
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(study | {"inspect": ASKED}))
    assert main(["runs", "--study", str(folder)]) == 0
    return folder


def shown(folder: Path) -> View:
    study = read_study(folder)
    return view(study, read_runs(study), "toy", "paper")


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_the_figures_are_there_and_the_same_bytes_each_time(folder: Path) -> None:
    write_inspection(folder)
    write_logs(folder)
    command = ["figures", "--study", str(folder), "--method", "diffclip", "--variant", "tuned"]
    assert main(command) == 0
    expected = {f"toy_paper_{kind}-diffclip-tuned.{form}" for kind in KINDS for form in ("pdf", "png")}
    before = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert before.keys() == expected
    assert main(command) == 0
    assert before == {name: (folder / "figures" / name).read_bytes() for name in before}


@pytest.mark.parametrize("make", MAKERS)
def test_a_simulated_scene_is_called_so_in_the_title(folder: Path, make: Callable[..., Figure]) -> None:
    write_inspection(folder)
    write_logs(folder)
    said = make(shown(folder), ROW).get_suptitle().replace("\n", " ")
    assert said.endswith("Toy scene (SIMULATED), paper protocol")
    assert "DiffCLIP (tuned)" in said


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_not_inspected_yet_is_said(folder: Path, make: Callable[..., Figure]) -> None:
    assert "Not inspected yet" in words(make(shown(folder), ROW))


def test_reconstructions_have_a_row_per_time_step_and_tell_errors(folder: Path) -> None:
    write_inspection(folder)
    figure = reconstruction_figure(shown(folder), ROW)
    assert len(figure.axes) == 2 * len(TIMES) * 4
    assert titles(figure)[:4] == ["input", "noised", "masked", "output"]
    assert figure.axes[3].get_title("right") == "MSE 0.75 | 0.25\n"
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["t = 0", "t = 300"]


def test_without_a_mask_ratio_none_is_told_and_no_error_of_hidden_tokens(folder: Path) -> None:
    path = write_inspection(folder, mask_ratio=None)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files}
    np.savez_compressed(path, **(arrays | {"mse_hidden": np.full((2, 2), np.nan)}))
    figure = reconstruction_figure(shown(folder), ROW)
    assert figure.axes[3].get_title("right") == "MSE – | 0.25\n"
    assert "Window 5." in words(figure)


def test_masked_tokens_are_grey_and_the_others_as_noised(folder: Path) -> None:
    write_inspection(folder)
    noised, masked = (
        np.asarray(axes.images[0].get_array()) for axes in reconstruction_figure(shown(folder), ROW).axes[1:3]
    )
    hidden = np.indices((10, 10)).sum(axis=0) % 2 == 0
    assert (masked[~hidden] == noised[~hidden]).all()
    assert len(np.unique(masked[hidden])) == 1
    assert (masked[hidden] != noised[hidden]).all()


def test_a_single_modality_is_drawn_alone(folder: Path) -> None:
    write_inspection(folder, modalities=("hsi",))
    write_logs(folder)
    assert len(reconstruction_figure(shown(folder), ROW).axes) == len(TIMES) * 4
    assert titles(losses_figure(shown(folder), ROW)) == ["Hyperspectral"]


def test_three_modalities_are_drawn_side_by_side(folder: Path) -> None:
    write_inspection(folder, modalities=("hsi", "lidar", "sar"))
    figure = reconstruction_figure(shown(folder), ROW)
    assert len(figure.axes) == len(TIMES) * 12
    assert [text.get_text() for text in figure.texts[-3:]] == ["Hyperspectral, false colour", "LiDAR", "SAR"]
    assert max(axes.get_position().x1 for axes in figure.axes) <= 1


def test_losses_are_means_over_seeds_between_the_least_and_the_most(folder: Path) -> None:
    write_inspection(folder)
    write_logs(folder)
    hsi, aux = losses_figure(shown(folder), ROW).axes
    assert [hsi.get_title(), aux.get_title()] == ["Hyperspectral", "Auxiliary rasters"]
    hidden, visible = hsi.lines
    np.testing.assert_allclose(hidden.get_xdata(), np.arange(20, 201, 20))
    np.testing.assert_allclose(hidden.get_ydata(), np.linspace(1.0, 0.5, 10) + 0.1)
    np.testing.assert_allclose(visible.get_ydata(), (np.linspace(1.0, 0.5, 10) + 0.1) / 2)
    band = hsi.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.5), pytest.approx(1.2))
    assert hsi.get_yscale() == "linear"


def test_losses_that_fall_far_have_a_logarithmic_axis_that_says_so(folder: Path) -> None:
    write_inspection(folder)
    write_logs(folder, seeds=(0,), least=0.01)
    figure = losses_figure(shown(folder), ROW)
    assert figure.axes[0].get_yscale() == "log"
    assert "log axis" in figure.axes[0].get_ylabel()
    assert "Without a log: seeds 1–2" in words(figure)


def test_features_tell_the_accuracy_of_neighbours_before_and_after(folder: Path) -> None:
    write_inspection(folder)
    figure = tsne_figure(shown(folder), ROW)
    before, after, tuned = titles(figure)[:3]
    assert before.startswith("Before stage 1\n5-NN ")
    assert after.startswith("After stage 1")
    assert tuned == "After stage 2\n5-NN 100.0 %"
    assert [text.get_text() for text in figure.axes[3].get_legend().get_texts()] == [
        "Grass & trees",
        "Road_1",
        "Water 100%",
    ]


def test_neighbours_leave_out_the_pixel_itself() -> None:
    labels = np.array([1] * 3 + [2])
    # All alike but the last, which finds only others: it is wrong, and nothing else is.
    assert accuracy(np.zeros((4, 2)) + np.arange(4)[:, None], labels) == 75.0


def test_files_of_other_shots_are_not_taken(folder: Path) -> None:
    write_inspection(folder, shots=10)
    assert read_inspected(shown(folder), ROW) is None
    write_inspection(folder)
    found = read_inspected(shown(folder), ROW)
    assert found is not None
    assert found.identity["shots"] == 2


def test_a_broken_file_is_told_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inspection(folder).write_bytes(b"half a file")
    assert main(["figures", "--study", str(folder), "--kind", "tsne"]) == 2
    assert "seed-1.npz: cannot be read" in capsys.readouterr().err


def test_a_row_that_is_not_inspected_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--study", str(folder), "--method", "diffclip", "--variant", "tunned"]) == 2
    assert "did you mean 'tuned'" in capsys.readouterr().err


def test_figures_of_an_inspected_run_import_no_torch(folder: Path) -> None:
    write_inspection(folder)
    write_logs(folder)
    code = (
        "import sys; from report.__main__ import main;"
        f"assert main(['figures', '--study', {str(folder)!r}, '--method', 'diffclip']) == 0;"
        "sys.exit(int('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0

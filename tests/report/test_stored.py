"""Damaged files of a study: one error that names the file and says how to go on."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from report.__main__ import main

SEED = "shots-2_window-5_mask-0.6/seed-0"
RECORD = f"records/toy/paper/diffclip/tuned/{SEED}"
BINARY = bytes(range(256))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one method and two runs with all files that the report reads."""
    from tests.report.conftest import METHODS, FakeStudy

    folder = tmp_path_factory.mktemp("whole") / "fake"
    FakeStudy(folder, METHODS[1:2], protocols=("paper",), shots=(2,), seeds=(0, 1), sweeps={}).write()
    for command in ("runs", "check"):
        assert main([command, "--study", str(folder)]) == 0
    return folder


def emptied(_: bytes) -> bytes:
    return b""


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def overwritten(_: bytes) -> bytes:
    return BINARY


def text(_: bytes) -> bytes:
    return b"some text\n"


MAPS = ("figures", "--kind", "maps")


@pytest.mark.parametrize("damage", [emptied, cut, overwritten, text])
@pytest.mark.parametrize(
    ("file", "commands", "again"),
    [
        ("runs.csv", (("tables",), ("check",), MAPS, ("page",)), "make it again with 'python -m report runs --study"),
        ("predictions.csv", (("tables",),), "make it again with 'python -m report check --study"),
        ("scenes/toy/scene.json", (("tables",), ("check",), MAPS), "so that the scene is prepared again"),
        ("scenes/toy/labels.npy", (("check",), MAPS), "so that the scene is prepared again"),
        ("scenes/toy/hsi.npy", (MAPS,), "so that the scene is prepared again"),
        ("splits/toy/paper/shots-2/seed-0.npz", (("check",),), "remove it so that it is drawn again"),
        (f"{RECORD}.npz", (("check",), MAPS), "so that the run is made again"),
        (f"{RECORD}.json", (("check",), ("figures", "--kind", "confusion")), "make runs.csv again with"),
    ],
)
def test_a_damaged_file_is_refused_by_name_with_what_to_do(
    whole: Path,
    tmp_path: Path,
    file: str,
    commands: tuple[tuple[str, ...], ...],
    again: str,
    damage: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(whole, tmp_path / "fake")
    path = folder / file
    path.write_bytes(damage(path.read_bytes()))
    for command, *more in commands:
        assert main([command, "--study", str(folder), *more]) == 2, command
        said = capsys.readouterr().err
        assert said.startswith(f"{path}: "), command
        assert again in said
        assert "unsafely" not in said


@pytest.mark.parametrize("command", [("check",), ("figures", "--kind", "confusion")])
def test_a_missing_record_is_made_again_by_the_study_and_not_left_out_of_its_runs(
    whole: Path, tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "fake")
    (folder / f"{RECORD}.json").unlink()
    assert main([*command, "--study", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"{folder / RECORD}.json: not found; the study's command without a target makes missing runs"
    )


@pytest.mark.parametrize(
    ("old", "new", "stray"),
    [
        ('"seeds":[0,1]', '"seeds":[0]', "runs of seed 1"),
        ('"scenes":["toy"]', '"scenes":["other"]', "runs of scene 'toy'"),
        ('"diffclip":{"tuned":', '"diffclip":{"as-written":', "runs of method 'diffclip', variant 'tuned'"),
        ('"shots":[2]', '"shots":[5]', "runs of shots 2"),
        ('"protocols":["paper"]', '"protocols":["strict"]', "runs of protocol 'paper'"),
    ],
)
def test_runs_that_the_study_no_longer_asks_for_are_refused(
    whole: Path, tmp_path: Path, old: str, new: str, stray: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "fake")
    path = folder / "study.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert main(["tables", "--study", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"{folder / 'runs.csv'}: found {stray}, expected what {path} asks for; make it again with" in said


@pytest.mark.parametrize("key", ["sha256", "class_names", "info"])
def test_a_scene_file_that_lacks_a_key_is_refused(
    whole: Path, tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "fake")
    path = folder / "scenes/toy/scene.json"
    path.write_text(path.read_text().replace(f'"{key}"', '"other"'))
    assert main(["tables", "--study", str(folder)]) == 2
    assert f"{path}: key '{key}' is missing" in capsys.readouterr().err


def test_half_of_a_compressed_file_is_refused(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(whole, tmp_path / "fake")
    path = folder / "runs.csv.gz"
    path.write_bytes(gzip.compress((folder / "runs.csv").read_bytes())[:200])
    (folder / "runs.csv").unlink()
    assert main(["tables", "--study", str(folder)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}: cannot be read")


def test_training_pixels_beyond_the_scene_are_refused(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    folder = shutil.copytree(whole, tmp_path / "fake")
    path = folder / "splits/toy/paper/shots-2/seed-0.npz"
    np.savez(path, train=np.array([10**6]))
    assert main(["check", "--study", str(folder)]) == 2
    assert f"{path}: train: found other than pixels of the scene" in capsys.readouterr().err

"""A study's cost is that of the runs measured, carried over to its cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method
from diffclip.study.config import parse_study
from diffclip.study.estimate import Measured, estimated, read_measured

CPU, GPU = "Some CPU (cpu)", "Some GPU (cuda)"
STUDY = {
    "study": "planned",
    "scenes": ["muufl-crop"],
    "protocols": ["paper"],
    "shots": [2, 10],
    "seeds": 5,
    "window": 7,
    "methods": {"diffclip": {"default": None, "fresh": {"pretrain": "none"}}, "nearest_mean": None},
}
CLASSES = 8  # of muufl-crop


def measured(method: str, variant: str = "default", **fields: object) -> Measured:
    options = {"diffclip.fresh": {"pretrain": "none"}}.get(f"{method}.{variant}", {})
    known = json.loads(json.dumps(make_method(method, variant, options).settings(), default=list))
    run = Measured("here", "muufl-crop", method, "paper", 2, 7, 2 * CLASSES, 1000, 10, known, CPU, None, 0.0, 0.0)
    return run._replace(**fields)


def hours(runs: list[Measured], **changed: object) -> dict[str, dict[str, float]]:
    found = estimated(parse_study({**STUDY, **changed}, "a test"), runs)
    return {f"{row.method}.{row.variant}": row.hours for row in found.rows}


def test_fitting_follows_a_line_over_training_pixels_and_testing_the_test_pixels():
    runs = [
        measured("diffclip", "fresh", fit=10.0, predict=5.0),
        measured("diffclip", "fresh", fit=50.0, predict=5.0, shots=10, train_pixels=10 * CLASSES),
    ]
    found = hours(runs, shots=[6])
    assert found["diffclip.fresh"] == {CPU: pytest.approx(5 * (30.0 + 5.0) / 3600)}
    assert found["diffclip.default"] == found["nearest_mean.default"] == {}


def test_a_checkpoint_is_paid_for_once_for_all_cells_that_share_it():
    run = measured("diffclip", pretrain=100.0, fit=1.0)
    assert hours([run])["diffclip.default"][CPU] == pytest.approx(5 * (100.0 + 1.0 + 5.0) / 3600)


def test_cost_grows_with_the_area_of_the_window():
    small, large = (hours([measured("diffclip", pretrain=1.0, fit=1.0)], window=window) for window in (7, 21))
    assert large["diffclip.default"][CPU] == pytest.approx(9 * small["diffclip.default"][CPU])


def test_every_device_is_told_apart_and_methods_never_measured_there_are_named():
    runs = [measured("diffclip", fit=3600.0), measured("nearest_mean", device=GPU, fit=36.0, window=None)]
    found = hours(runs, shots=[2])
    assert found == {
        "diffclip.default": {CPU: pytest.approx(5.0)},
        "diffclip.fresh": {},
        "nearest_mean.default": {GPU: pytest.approx(0.05)},
    }


def test_what_was_measured_is_read_from_a_table_of_runs():
    table = Path("results/published/muufl-crop/runs.csv.gz")
    runs = read_measured([table])
    assert {run.source for run in runs} == {str(table)}
    assert all(run.fit >= 0 and run.test_pixels > 0 for run in runs)
    assert any(run.pretrain for run in runs)


def test_a_table_that_holds_no_runs_is_refused_by_name(tmp_path):
    wrong = tmp_path / "runs.csv"
    with pytest.raises(UserError, match=r"runs\.csv: No such file or directory, expected a study's runs\.csv"):
        read_measured([wrong])
    wrong.write_text("scene,status\nx,ok\n")
    with pytest.raises(UserError, match=r"found no usable '\w+', expected a study's runs\.csv"):
        read_measured([wrong])


def test_a_packed_table_that_is_damaged_is_refused_by_name(tmp_path):
    whole = Path("results/published/muufl-crop/runs.csv.gz").read_bytes()
    wrong = tmp_path / "runs.csv.gz"
    damaged = {
        "end-of-stream": whole[: len(whole) // 2],
        "Not a gzipped file": b"scene,status\n",
        "decompressing": whole[:40] + b"\0" * 40 + whole[80:],
    }
    for reason, content in damaged.items():
        wrong.write_bytes(content)
        with pytest.raises(UserError, match=rf"runs\.csv\.gz: .*{reason}.*, expected a study's runs\.csv"):
            read_measured([wrong])


def test_nothing_is_said_of_disk_where_no_run_was_measured():
    assert estimated(parse_study(STUDY, "a test"), []).disk is None

"""Records -> runs.csv: what is taken, what is left out, what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffclip.errors import UserError
from report.__main__ import main
from report.collect import COLUMNS, collect
from report.study import read_study

SVM = "records/toy/paper/svm/default/shots-2/seed-0.json"


@pytest.fixture
def folder(fake: Callable[..., Any]) -> Path:
    """A study of one method and two runs, to be broken by tests."""
    return fake(methods=fake().methods[:1], protocols=("paper",), shots=(2,), seeds=(0, 1), sweeps={}).write()


def runs_of(folder: Path) -> list[dict[str, str]]:
    with collect(read_study(folder)).open(newline="") as file:
        return list(csv.DictReader(file))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_every_run_of_the_study_has_one_row_failed_ones_too(study_folder: Path) -> None:
    with (study_folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    # 4 methods x 2 protocols x 2 shots x 3 seeds, and a sweep of 2 windows x 2 ratios x 3 seeds of which 3 are in both.
    assert len(rows) == 48 + 12 - 3
    failed = [row for row in rows if row["status"] == "failed"]
    assert [(row["method"], row["shots"], row["seed"], row["oa"]) for row in failed] == [("svm", "10", "2", "")]
    assert failed[0]["reason"] == "RuntimeError: out of luck"
    assert all((study_folder / row["path"]).is_file() for row in rows)


def test_a_run_says_which_grids_it_belongs_to(study_folder: Path) -> None:
    with (study_folder / "runs.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["variant"] == "tuned" and row["shots"] == "2"]
    found = {(row["protocol"], row["window"], row["mask_ratio"]): (row["main"], row["sweeps"]) for row in rows}
    assert found["paper", "5", "0.6"] == ("True", "mask-window")
    assert found["paper", "9", "0.3"] == ("False", "mask-window")
    assert found["strict", "5", "0.6"] == ("True", "")


def test_records_of_another_config_are_ignored(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**study, "seeds": [1]}))
    with caplog.at_level("INFO", logger="report"):
        assert [row["seed"] for row in runs_of(folder)] == ["1"]
    assert "1 records" in caplog.text


def test_measurements_beside_a_record_are_no_record(folder: Path) -> None:
    (folder / SVM).with_name("seed-0.log.json").write_text("{}")
    assert len(runs_of(folder)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record["metrics"].update(kappa=record["metrics"]["oa"] + 1), "is above OA"),
        (lambda record: record["metrics"].update(aa=100.5), "accuracy aa: found 100.5"),
        (lambda record: record["metrics"].update(macro_f1=float("nan")), "accuracy macro_f1: found nan"),
        (lambda record: record["metrics"].update(oa=99.0), "oa: found 99.00, but its confusion matrix gives"),
        (lambda record: record["metrics"].update(kappa=10.0), "kappa: found 10.00, but its confusion matrix gives"),
        (lambda record: record["metrics"]["per_class"].update(Road_1=1.0), "accuracy of Road_1: found 1.00, but"),
        (lambda record: record["confusion"].pop(), "confusion: found shape"),
        (lambda record: record["split"].update(test_pixels=7), "expected test_pixels = 7"),
        (lambda record: record["split"]["test_pixels_per_class"].update(Road_1=1), "confusion of 'Road_1'"),
        (lambda record: record["traits"].pop("title"), "key traits.title is missing"),
        (lambda record: record.pop("options"), "key 'options' is missing"),
        (lambda record: record.update(status="done"), "expected 'ok' or 'failed'"),
        (lambda record: record["identity"].update(shots="2"), "identity.shots: found '2', expected a whole number"),
        (lambda record: record["identity"].update(window=9.5), "window: found 9.5, expected a whole number or null"),
        (lambda record: record["traits"].update(control=1), "traits.control: found 1, expected true or false"),
        (lambda record: record["cost"].update(fit_seconds="abc"), "cost.fit_seconds: found 'abc', expected a number"),
        (lambda record: record["cost"].update(fit_seconds=float("nan")), "cost.fit_seconds: found nan, expected 0 or"),
        (lambda record: record["split"].update(overlap_percent=400), "overlap_percent: found 400, expected 0..100"),
        (lambda record: record["split"].update(train_pixels=7), "train_pixels: found 7, expected 6: 2 of every class"),
    ],
)
def test_a_record_that_cannot_be_is_refused_by_name(folder: Path, change: Callable[..., None], said: str) -> None:
    edit(folder / SVM, change)
    with pytest.raises(UserError) as error:
        collect(read_study(folder))
    assert SVM in str(error.value)
    assert said in str(error.value)


def test_a_metric_may_differ_by_rounding(folder: Path) -> None:
    edit(folder / SVM, lambda record: record["metrics"].update(kappa=record["metrics"]["kappa"] + 0.004))
    assert len(runs_of(folder)) == 2


def test_half_a_record_is_refused_by_name_and_exit_status_two(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / SVM).write_text('{"status": "ok"')
    assert main(["runs", "--study", str(folder)]) == 2
    said = capsys.readouterr().err
    assert SVM in said
    assert "not a record" in said
    assert "Traceback" not in said


def test_two_records_of_one_run_are_refused(folder: Path) -> None:
    copy = folder / SVM.replace("shots-2", "shots-02")
    copy.parent.mkdir(parents=True)
    copy.write_text((folder / SVM).read_text())
    with pytest.raises(UserError) as error:
        collect(read_study(folder))
    assert str(error.value).startswith(f"{copy}: identity: found that of {SVM}")


@pytest.mark.parametrize(("key", "value"), [("shots", 3), ("window", 9), ("variant", "another"), ("seed", 7)])
def test_a_record_of_another_run_than_its_path_says_is_refused(folder: Path, key: str, value: object) -> None:
    edit(folder / SVM, lambda record: record["identity"].update({key: value}))
    edit(folder / SVM, lambda record: record["split"].update(train_pixels=3 * record["identity"]["shots"]))
    with pytest.raises(UserError) as error:
        collect(read_study(folder))
    assert str(error.value).startswith(f"{folder / SVM}: identity: found that of records/toy/paper/svm/")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scene_sha256", "another", "two versions of the scene"),
        ("sources_sha256", "another", "two versions of the method's code in one cell"),
    ],
)
def test_runs_that_a_table_would_mix_are_refused(folder: Path, key: str, value: str, said: str) -> None:
    other = SVM.replace("seed-0", "seed-1")
    edit(folder / other, lambda record: record["provenance"].update({key: value}))
    with pytest.raises(UserError) as error:
        collect(read_study(folder))
    for part in (SVM, other, key, said):
        assert part in str(error.value)


def test_methods_that_met_other_splits_are_refused(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), shots=(2,), sweeps={}).write()
    edit(folder / SVM, lambda record: record["provenance"].update(split_sha256="another"))
    with pytest.raises(UserError, match="two splits of one seed"):
        collect(read_study(folder))


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.json: not found"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text('{"study": "x"}')
    with pytest.raises(UserError, match="is missing"):
        read_study(tmp_path)

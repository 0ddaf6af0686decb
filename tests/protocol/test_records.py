"""A record is whole, typed, and says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.evaluation import make_run
from diffclip.protocol.records import Record, read_predictions, read_record, write_predictions, write_record


@pytest.fixture(scope="module")
def record(run_of, tmp_path_factory) -> Record:
    return make_run(run_of(), tmp_path_factory.mktemp("run") / "record.json")


def test_a_record_survives_its_file(record: Record, tmp_path: Path):
    path = tmp_path / "deep" / "record.json"
    write_record(record, path)
    assert read_record(path) == record
    again = path.read_bytes()
    write_record(read_record(path), path)
    assert path.read_bytes() == again


def test_a_crash_while_writing_leaves_the_old_record(record: Record, tmp_path: Path, monkeypatch):
    path = tmp_path / "record.json"
    write_record(record, path)
    before = path.read_bytes()

    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr("diffclip.files.os.replace", crash)
    with pytest.raises(OSError, match="no space left"):
        write_record(record.model_copy(update={"status": "failed"}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_wrong_key_of_a_record_is_told_with_the_file(record: Record, tmp_path: Path):
    found = record.model_dump(mode="json")
    found["staus"] = found.pop("status")
    found["metrics"]["kapa"] = 1.0
    path = tmp_path / "record.json"
    path.write_text(json.dumps(found))
    with pytest.raises(UserError) as caught:
        read_record(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert any("staus: unknown key (did you mean 'status'?)" in line for line in lines)
    assert any("metrics.kapa: unknown key (did you mean 'kappa'?)" in line for line in lines)
    assert any("status: missing" in line for line in lines)


@pytest.mark.parametrize("content", [b"", b'{"status": "ok"', b"[]", b"\xff\xfe\x00"])
def test_what_is_no_record_is_refused_by_name(content, tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"record\.json"):
        read_record(path)


def test_a_missing_record_is_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.json: not a record"):
        read_record(tmp_path / "none.json")


def test_predictions_survive_their_file_in_small_types(tmp_path: Path):
    pixels = np.array([3, 70_000, 2_000_000], dtype=np.int32)
    predicted = np.array([1, 200, 255], dtype=np.uint8)
    confidence = np.array([0.5, 1.0, 0.25], dtype=np.float16)
    write_predictions(tmp_path / "seed-0.npz", pixels, predicted, confidence)
    found = read_predictions(tmp_path / "seed-0.json")
    for key, array in (("pixels", pixels), ("predicted", predicted), ("confidence", confidence)):
        assert found[key].tolist() == array.tolist()
        assert found[key].dtype == array.dtype


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half a zip", b"no array at all"])
def test_missing_or_broken_predictions_are_refused_by_name(content, tmp_path: Path):
    if content is not None:
        (tmp_path / "seed-0.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"seed-0\.npz: no predictions beside the record"):
        read_predictions(tmp_path / "seed-0.json")


def test_predictions_without_one_of_their_arrays_are_refused_by_name(tmp_path: Path):
    np.savez(tmp_path / "seed-0.npz", pixels=np.arange(3), predicted=np.arange(3))
    with pytest.raises(UserError, match=r"seed-0\.npz: no predictions beside the record: .*confidence"):
        read_predictions(tmp_path / "seed-0.json")

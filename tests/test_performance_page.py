"""The table of measurements says what was measured, and goes where its device belongs."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import table

PAGE = (
    "# Speed\n<!-- measured on cpu -->\nold\n<!-- end -->\nbetween\n<!-- measured on cuda -->\nnone yet\n<!-- end -->\n"
)


def measured(**facts):
    info = {"device": "cpu", "device_name": "Some CPU", "threads": 2, "plain": [5.0, 4.0], "gflop": 20.0, "tiny": False}
    one = {
        "name": "test_a_step_of_stage_1[bf16-1]",
        "stats": {"min": 2.0},
        "extra_info": info | {"work": {"windows": 128}} | facts,
    }
    return {"datetime": "2026-01-02T03:04:05+00:00", "benchmarks": [one]}


def test_a_table_takes_the_place_of_its_devices_older_one():
    page = table.written(PAGE, measured())
    assert "Some CPU (cpu, 2 threads), 2026-01-02, processor seconds." in page
    (row,) = (line for line in page.splitlines() if "stage 1" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["a step of stage 1, bf16-1", "2", "4", "2.00", "64 windows", "10"]
    assert "old" not in page
    assert "none yet" in page
    assert table.written(page, measured()) == page


def test_the_papers_grid_is_reckoned_from_a_cell():
    found = measured()
    parts = {"stage 1": 10.0, "stage 2": 4.0, "testing": 1.0}
    found["benchmarks"].append(
        found["benchmarks"][0] | {"extra_info": {"parts": parts, "seeds": 10, "precision": "bf16"}}
    )
    # 48 trainings of stage 1, 63 of stage 2 with their tests.
    assert "cell of 10 seeds in bf16: stage 1 10.0 s" in table.table(found)
    assert f"takes {(48 * 10 + 63 * 5) / 60:.0f} minutes" in table.table(found)


def test_what_a_gpu_needs_before_the_first_step_is_said_where_it_counts():
    slow, quick = measured(device="cuda", until_ready=27.4), measured(device="cuda", until_ready=0.2)
    assert "compiled and graphs captured: a step of stage 1, bf16-1 27 s." in table.table(slow)
    assert "compiled" not in table.table(quick)
    assert "compiled" not in table.table(measured(until_ready=27.4))


def test_tiny_sizes_and_unknown_places_are_refused():
    with pytest.raises(SystemExit, match="tiny"):
        table.written(PAGE, measured(tiny=True))
    with pytest.raises(SystemExit, match="no place for cpu"):
        table.written("# Speed\n", measured())


def test_accuracy_is_told_from_records(tmp_path):
    for seed, oa in enumerate((80.0, 82.0)):
        record = {
            "identity": {"scene": "here", "protocol": "paper", "variant": "default", "shots": 4},
            "options": {"precision": "bf16"},
            "metrics": {"oa": oa},
            "cost": {"fit_seconds": 1.0, "predict_seconds": 2.0},
        }
        (tmp_path / f"seed-{seed}.json").write_text(json.dumps(record))
    row = table.accuracy([tmp_path]).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["here, paper, default, 4 shots", "bf16", "81.00 ± 1.41", "80.00, 82.00", "3"]

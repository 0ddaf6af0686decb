"""What Snakemake is told of a study is what the command line makes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method
from diffclip.protocol.checkpoints import checkpoint_name
from diffclip.study.cells import Cell
from diffclip.study.config import parse_study
from diffclip.study.figures import MAIN
from diffclip.study.tables import ablated, prompted, scene_tables
from diffclip.study.workflow import StudyJobs, read_study

CONFIG: dict[str, Any] = {
    "study": "tiny",
    "scenes": ["simulated"],
    "protocols": ["paper", "strict"],
    "shots": [2, 5],
    "seeds": [0, 3],
    "window": 7,
    "mask_ratio": 0.7,
    "methods": {
        "nearest_mean": None,
        "svm": {"means": {"scales": [1, 3]}},
        "diffclip": {"small": {"depth": 1, "lr": 0.001}, "longer": {"depth": 1, "lr": 0.001, "epochs": 300}},
    },
    "sweeps": {
        "mask": {
            "methods": {"diffclip": {"small": {"depth": 1, "lr": 0.001}}},
            "protocols": ["paper"],
            "shots": [5],
            "mask_ratios": [0.123456, 0.7],
        }
    },
}


@pytest.fixture(scope="module")
def jobs() -> StudyJobs:
    return read_study(CONFIG, [])


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return parse_study(CONFIG, "study.yaml").cells()


def wildcards_of(cell: Cell, **more: Any) -> SimpleNamespace:
    """Return what Snakemake would hand over: every wildcard as text."""
    return SimpleNamespace(**{key: str(value) for key, value in (cell.wildcards() | more).items()})


def told(arguments: str) -> dict[str, str]:
    words = shlex.split(arguments)
    return dict(zip(words[::2], words[1::2], strict=True))


def test_every_record_of_every_cell_and_seed_is_asked_for(jobs, cells):
    assert len(jobs.records) == len(set(jobs.records)) == 2 * len(cells)
    assert "results/tiny/records/simulated/strict/svm/means/shots-2/seed-3.json" in jobs.records


def test_checkpoints_are_shared_by_all_shots_protocols_and_options_of_stage_two(jobs, cells):
    shared = [cell for cell in cells if cell.method == "diffclip" and cell.mask_ratio == 0.7]
    assert {cell.variant for cell in shared} == {"small", "longer"}
    assert len({(cell.protocol, cell.shots) for cell in shared}) == 4
    assert len({tuple(jobs.checkpoints(wildcards_of(cell))) for cell in shared}) == 1


def test_another_mask_ratio_has_checkpoints_of_its_own(jobs, cells):
    found = {tuple(jobs.checkpoints(wildcards_of(cell))) for cell in cells if cell.method == "diffclip"}
    assert len(found) == 2
    assert all(len(files) == 2 and files[1].endswith("/seed-3.safetensors") for files in found)


def test_a_checkpoint_of_another_scene_is_that_scenes_own():
    config = {
        **CONFIG,
        "scenes": ["simulated", "muufl-crop"],
        "methods": {"diffclip": {"here": {"depth": 1}, "there": {"depth": 1, "pretrain_scene": "muufl-crop"}}},
        "sweeps": {},
    }
    jobs, found = read_study(config, []), {}
    for cell in parse_study(config, "study.yaml").cells():
        found.setdefault((cell.scene, cell.variant), set()).update(jobs.checkpoints(wildcards_of(cell)))
    assert found["simulated", "there"] == found["muufl-crop", "there"] == found["muufl-crop", "here"]
    assert not found["simulated", "there"] & found["simulated", "here"]
    alone = {**config, "scenes": ["simulated"]}
    jobs = read_study(alone, [])
    for cell in parse_study(alone, "study.yaml").cells():
        for file in jobs.checkpoints(wildcards_of(cell)):
            _, _, _, scene, checkpoint, _ = file.split("/")
            assert scene == ("muufl-crop" if cell.variant == "there" else "simulated")
            arguments = told(jobs.pretraining_arguments(SimpleNamespace(scene=scene, checkpoint=checkpoint)))
            assert arguments["--variant"] == cell.variant
            assert jobs.pretraining_sources(SimpleNamespace(scene=scene, checkpoint=checkpoint))
            assert jobs.card(SimpleNamespace(scene=scene)) == f"config/scenes/{scene}.yaml"


def test_methods_without_stage_one_need_no_checkpoint(jobs, cells):
    assert all(not jobs.checkpoints(wildcards_of(cell)) for cell in cells if cell.method != "diffclip")


def test_only_cells_that_take_the_embedded_clip_wait_for_it():
    methods = {
        "clip_zero_shot": {"embedded": {"clip_weights": "embedded"}, "random": {"clip_weights": "random"}},
        "diffclip": {"as-written": {"clip_weights": "embedded"}, "scratch": {"clip_weights": "embedded", "depth": 1}},
    }
    config = {**CONFIG, "methods": methods, "sweeps": {}}
    jobs = read_study(config, [])
    waiting = {
        f"{cell.method}.{cell.variant}"
        for cell in parse_study(config, "study.yaml").cells()
        if jobs.embedded_clip_of(wildcards_of(cell)) == jobs.embedded_clip
    }
    assert waiting == {"clip_zero_shot.embedded", "diffclip.as-written"}
    assert "results/tiny/embedded-clip/open_clip_model.safetensors" in jobs.embedded_clip


def test_programs_outside_are_scored_from_their_tasks_and_answers(jobs, cells):
    methods = {"outside": {"mine": {"reach": 0}}}
    config = {**CONFIG, "protocols": ["paper"], "shots": [2], "methods": methods, "sweeps": {}}
    (cell,) = parse_study(config, "study.yaml").cells()
    assert read_study(config, []).answers(wildcards_of(cell)) == [
        f"results/tiny/{folder}/simulated/paper/shots-2/seed-{seed}.{kind}"
        for folder, kind in (("tasks", "npz"), ("outside/mine", "csv"))
        for seed in (0, 3)
    ]
    assert all(jobs.answers(wildcards_of(cell)) == [] for cell in cells)


def test_arguments_make_the_very_cell_and_its_options_again(jobs, cells):
    study = parse_study(CONFIG, "study.yaml")
    for cell in cells:
        found = told(jobs.method_arguments(wildcards_of(cell)))
        options = yaml.safe_load(found["--options"])
        made = make_method(found["--method"], found["--variant"], options)
        assert made.settings() == study.made(cell).settings()
        window = int(found["--window"]) if "--window" in found else None
        ratio = float(found["--mask-ratio"]) if "--mask-ratio" in found else None
        again = Cell(
            "simulated", cell.protocol, made_name(found), found["--variant"], int(found["--shots"]), window, ratio
        )
        assert again == cell


def made_name(found: dict[str, str]) -> str:
    return found["--method"]


def test_arguments_of_pretraining_make_the_very_checkpoint_again(jobs, cells):
    for cell in cells:
        for file in jobs.checkpoints(wildcards_of(cell)):
            checkpoint = file.split("/")[-2]
            found = told(jobs.pretraining_arguments(SimpleNamespace(scene="simulated", checkpoint=checkpoint)))
            method = make_method(found["--method"], found["--variant"], yaml.safe_load(found["--options"]))
            pretraining = method.pretraining(int(found["--window"]), float(found["--mask-ratio"]))
            assert checkpoint_name(pretraining) == checkpoint


def test_splits_belong_to_scene_protocol_shots_and_seed_alone(jobs, cells):
    found = {tuple(jobs.splits(wildcards_of(cell))) for cell in cells}
    assert len(found) == 4
    assert (
        "results/tiny/splits/simulated/paper/shots-2/seed-0.npz",
        "results/tiny/splits/simulated/paper/shots-2/seed-3.npz",
    ) in found


def test_methods_wait_for_their_own_sources_and_the_metrics(jobs, cells):
    svm = next(cell for cell in cells if cell.method == "svm")
    names = {Path(path).name for path in jobs.method_sources(wildcards_of(svm))}
    assert {"svm.py", "method.py", "metrics.py"} <= names
    assert not names & {"nearest_mean.py", "finetuning.py", "two_branch_cnn.py"}


def test_an_inspected_run_waits_for_its_own_split_and_checkpoint_and_its_figures_for_all_logs():
    asked = {"methods": {"diffclip": ["small"]}, "protocol": "paper", "shots": 5, "seed": 3}
    jobs = read_study({**CONFIG, "inspect": asked}, [])
    (cell,) = jobs.inspected
    split, checkpoint = jobs.inspected_split_and_checkpoint(wildcards_of(cell, seed=3))
    assert checkpoint in jobs.checkpoints(wildcards_of(cell))
    assert checkpoint.endswith("/seed-3.safetensors")
    assert split == "results/tiny/splits/simulated/paper/shots-5/seed-3.npz"
    sources = {Path(path).name for path in jobs.inspection_sources(wildcards_of(cell, seed=3))}
    assert {"inspection.py", "finetuning.py", "encoder.py", "pretraining.py", "splits.py"} <= sources
    shown, *logs = jobs.inspections
    place = "results/tiny/inspection/simulated/paper/diffclip/small/shots-5_window-7_mask-0.7"
    assert shown == f"{place}/seed-3.npz"
    assert [Path(path).name for path in logs] == ["seed-0.log.json", "seed-3.log.json"]
    assert told(jobs.inspection_arguments(wildcards_of(cell)))["--shots"] == "5"


def test_nothing_is_inspected_unless_it_is_asked_for(jobs):
    assert jobs.inspected == []
    assert jobs.inspections == []


def test_a_study_names_every_table_and_figure_once():
    asked = {"methods": {"diffclip": ["small"]}, "protocol": "paper", "shots": 5, "seed": 3}
    jobs = read_study({**CONFIG, "scenes": ["simulated", "muufl-crop"], "inspect": asked}, [])
    kinds = ("main", "intervals", "comparisons", "per_class", "classes", "cost", "ablation")
    tables = [f"{protocol}_{kind}" for protocol in ("paper", "strict") for kind in kinds]
    assert jobs.tables == [*tables, "paper_leakage", "strict_drop", "paper_sweep-mask"]
    assert jobs.overviews == ["data-sets", "scorecard", "paper_ranks", "strict_ranks"]
    kinds = [f"{protocol}_{kind}" for protocol in ("paper", "strict") for kind in MAIN]
    learned = [f"paper_{kind}-diffclip-small" for kind in ("reconstruction", "losses", "tsne")]
    assert jobs.figures == [*kinds, "paper_leakage", "paper_sweep-mask", *learned]
    assert jobs.overview_figures == ["paper_ranks", "strict_ranks"]


def test_a_study_of_variants_has_an_ablation_and_one_of_prompts():
    study = {"methods": {"diffclip": {"small": {}, "hsi-only": {}, "prompts-p2": {}}, "svm": {"default": {}}}}
    study |= {"protocols": ["strict"], "sweeps": {}}
    assert [kind for _, kind in scene_tables(study)][-2:] == ["ablation", "prompts"]
    assert ablated(study) == {"diffclip": ("small", "hsi-only", "prompts-p2")}
    assert prompted(study) == {"diffclip": ("small", "prompts-p2")}


def test_only_methods_that_use_a_device_take_it(cells):
    jobs = read_study({**CONFIG, "device": "cuda"}, [])
    assert {cell.method for cell in cells if jobs.gpus(wildcards_of(cell))} == {"diffclip"}


def test_the_margin_is_one_for_the_whole_study_and_for_strict_alone(jobs, cells):
    found = {(cell.protocol, jobs.margin(wildcards_of(cell))) for cell in cells}
    assert found == {("paper", ""), ("strict", "--margin 7")}


def test_what_a_table_or_figure_is_made_by_is_found_whatever_it_imports(jobs):
    assert {"diffclip/study/tables.py", "report/tables/ablation.py"} <= set(jobs.sources_of("report.tables"))
    drawn = set(jobs.sources_of("report.figures"))
    assert {"diffclip/study/figures.py", "diffclip/scene/rendering.py", "report/figures/maps.py"} <= drawn
    assert {"diffclip/scene/load.py", "diffclip/scene/quicklook.py"} <= set(
        jobs.sources_of("diffclip.scene.load", "diffclip.scene.quicklook")
    )


def test_the_study_written_down_is_the_study(jobs):
    assert parse_study(yaml.safe_load(jobs.json), "study.json") == parse_study(CONFIG, "study.yaml")


def test_mistakes_name_the_config_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(UserError, match=r"^a\.yaml, b\.yaml: shots: missing"):
        read_study({key: value for key, value in CONFIG.items() if key != "shots"}, ["a.yaml", "b.yaml"])
    with pytest.raises(UserError, match=r"^--config: shots: missing"):
        read_study({key: value for key, value in CONFIG.items() if key != "shots"}, [])


def test_a_key_that_a_config_file_gives_twice_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(CONFIG) + "shots: [1]\n")
    with pytest.raises(UserError, match=r"study\.yaml: shots: found on line \d+ and again on line \d+, expected every"):
        read_study(yaml.safe_load(path.read_text()), [path])


def test_the_workflow_is_planned_without_heavy_imports():
    code = (
        "import sys, yaml; from types import SimpleNamespace;"
        "from diffclip.study.workflow import read_study;"
        "jobs = read_study(yaml.safe_load(open('config/quick.yaml')), ['config/quick.yaml']);"
        "cells = jobs._cells.values();"
        "wildcards = [SimpleNamespace(**cell.wildcards()) for cell in cells];"
        "[(jobs.method_sources(w), jobs.checkpoints(w), jobs.splits(w), jobs.gpus(w)) for w in wildcards];"
        "jobs.sources_of('diffclip.scene.load'), jobs.card(wildcards[0]), jobs.margin(wildcards[0]);"
        "heavy = {'torch', 'scipy', 'sklearn', 'matplotlib', 'pandas', 'open_clip'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("device", "driver", "taken"), [("cpu", True, 0), ("cuda", False, 1), ("auto", True, 1), ("auto", False, 0)]
)
def test_only_training_on_a_gpu_takes_the_gpu(monkeypatch, device: str, driver: bool, taken: int):
    monkeypatch.setattr("diffclip.study.workflow.has_nvidia_driver", lambda: driver)
    jobs = read_study({**CONFIG, "device": device}, [])
    assert jobs.gpu_per_training == taken

"""The real workflow on a tiny study: what it leaves, what it makes again, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import yaml

from tests.workflow.conftest import ROOT, Project, copy_sources

NOTHING = "Nothing to be done"
# Two protocols x (nearest mean, SVM, DiffCLIP, random labels), and one window more in the sweep.
CELLS = 2 * 4 + 1


def jobs(plan: str) -> dict[str, int]:
    """Return the number of jobs of each rule in the statistics of a dry run."""
    lines = plan.split("Job stats:")[-1].splitlines()[3:]
    rows = [line.split() for line in lines[: lines.index("")]]
    return {rule: int(count) for rule, count in rows}


def test_the_study_leaves_records_predictions_tables_and_figures(finished_once: Project) -> None:
    results = finished_once.root / "results/tiny"
    records = finished_once.records()
    assert len(records) == 2 * CELLS
    for path, text in records.items():
        assert json.loads(text)["status"] == "ok", path
        assert (results / "records" / path).with_suffix(".npz").is_file()
    for protocol in ("paper", "strict"):
        for table in ("main", "per_class"):
            for suffix in ("md", "tex", "csv"):
                assert (results / f"tables/toy_{protocol}_{table}.{suffix}").stat().st_size > 100
        for figure in ("shots", "maps", "errors", "confusion", "cost"):
            for suffix in ("pdf", "png"):
                assert (results / f"figures/toy_{protocol}_{figure}.{suffix}").stat().st_size > 1000
    assert (results / "figures/toy_paper_sweep-window.png").is_file()
    assert (results / "scenes/toy/quicklook.png").is_file()
    page = (results / "index.html").read_text()
    assert 'src="data:image/png' in page
    assert "have not been made" not in page


def test_snakemakes_own_report_shows_tables_and_figures_with_captions(finished: Project) -> None:
    finished.snakemake("--report", "report.zip")
    with ZipFile(finished.root / "report.zip") as found:
        names = found.namelist()
        text = next(found.read(name).decode() for name in names if name.endswith("report.html"))
    assert {"toy_paper_main.html", "toy_paper_shots.png", "paper_ranks.png"} <= {Path(name).name for name in names}
    for said in ("With 95 % intervals".lower(), "strict protocol", "all scenes"):
        assert said in text.lower(), said


def test_an_inspected_run_leaves_what_it_learned_and_its_figures(finished_once: Project) -> None:
    results = finished_once.root / "results/tiny"
    (shown,) = (results / "inspection/toy/paper/diffclip/tiny").rglob("*.npz")
    assert shown.name == "seed-1.npz"
    assert shown.stat().st_size < 2e6
    for kind in ("reconstruction", "losses", "tsne"):
        for suffix in ("pdf", "png"):
            assert (results / f"figures/toy_paper_{kind}-diffclip-tiny.{suffix}").stat().st_size > 1000


def test_tables_say_that_the_scene_is_simulated(finished_once: Project) -> None:
    assert "SIMULATED" in (finished_once.root / "results/tiny/tables/toy_paper_main.md").read_text()


def test_pretraining_is_shared_by_protocols(finished_once: Project) -> None:
    checkpoints = list((finished_once.root / "results/tiny/pretrained/toy").iterdir())
    assert len(checkpoints) == 2, "one checkpoint folder per window, none per protocol"


def test_every_rule_writes_its_log_and_benchmark(finished_once: Project) -> None:
    for kind in ("logs", "benchmarks"):
        steps = {path.stem for path in (finished_once.root / kind / "tiny").iterdir()}
        assert {"scenes", "splits", "pretrained", "records", "inspection", "runs", "tables", "figures"} <= steps


def test_a_second_run_does_nothing(finished_once: Project) -> None:
    assert NOTHING in finished_once.planned()


def test_touching_every_source_runs_nothing_again(finished: Project) -> None:
    for path in finished.root.rglob("*"):
        if path.suffix in {".py", ".smk", ".yaml"} or path.name == "Snakefile":
            os.utime(path)
    assert NOTHING in finished.planned()


def test_a_fresh_copy_of_the_sources_runs_nothing_again(finished: Project, tmp_path: Path) -> None:
    fresh = copy_sources(tmp_path / "fresh")
    for kept in ("results", ".snakemake", "logs", "benchmarks"):
        shutil.move(finished.root / kept, fresh.root / kept)
    for path in fresh.root.glob("[!r]*/**/*.py"):
        os.utime(path)
    assert NOTHING in fresh.planned()


def test_without_snakemakes_memory_finished_runs_are_kept(finished: Project) -> None:
    before = finished.records()
    shutil.rmtree(finished.root / ".snakemake")
    finished.snakemake("--forcerun", "method", "--until", "method")
    assert finished.records() == before


def test_another_device_makes_nothing_again(finished: Project) -> None:
    planned = jobs(finished.planned("--config", "device=auto"))
    assert not {"method", "pretrain", "inspect", "embedded_clip"} & planned.keys()


def test_what_a_report_is_made_by_makes_it_again(finished: Project) -> None:
    finished.edit("diffclip/study/tables.py", lambda text: f"{text}\n# an edit\n")
    planned = jobs(finished.planned())
    assert {"tables", "figures", "page"} <= planned.keys()
    assert not {"method", "scene"} & planned.keys()


def test_another_working_folder_is_refused_with_what_to_add(finished_once: Project, tmp_path: Path) -> None:
    done = finished_once.snakemake("--dry-run", "--directory", str(tmp_path), check=False)
    assert done.returncode != 0
    assert f"add --directory {finished_once.root}" in done.stdout + done.stderr


def test_editing_a_method_runs_that_method_again_and_no_other(finished: Project) -> None:
    before = finished.records()
    finished.edit("baselines/nearest_mean.py", lambda text: text + "\n# an edit\n")
    plan = finished.planned()
    assert jobs(plan)["method"] == 2
    assert "nearest_mean (default)" in plan
    assert "pretrain" not in jobs(plan)
    finished.snakemake("--until", "method")
    changed = {path for path, text in finished.records().items() if text != before[path]}
    assert changed == {path for path in before if "nearest_mean" in path.parts}


def test_adding_shots_and_a_method_runs_only_what_is_new(finished: Project) -> None:
    finished.edit("config/tiny.yaml", lambda text: text.replace("shots: [2]\nseeds", "shots: [2, 3]\nseeds"))
    assert jobs(finished.planned())["method"] == 2 * 4
    assert jobs(finished.planned())["split"] == 2
    assert "pretrain" not in jobs(finished.planned())
    finished.edit("config/tiny.yaml", lambda text: text.replace("shots: [2, 3]", "shots: [2]"))
    controls = "  random_labels:\n  true_labels:"
    finished.edit("config/tiny.yaml", lambda text: text.replace("  random_labels:", controls))
    assert jobs(finished.planned())["method"] == 2


def test_the_embedded_clip_is_made_once_for_all_cells_that_take_it(tmp_path: Path) -> None:
    project, weights = copy_sources(tmp_path / "project"), "{embedded: {clip_weights: embedded}}"
    more = f"  clip_zero_shot: {weights}\n  coop: {weights}\n  random_labels:"
    project.edit("config/tiny.yaml", lambda text: text.replace("  random_labels:", more, 1))
    planned = jobs(project.planned())
    assert planned["method"] == CELLS + 2 * 2
    assert planned["embedded_clip"] == 1


def test_tables_and_figures_come_back_from_records_alone(finished: Project) -> None:
    results = finished.root / "results/tiny"
    before = {path: path.read_bytes() for path in results.rglob("*.md")}
    shutil.rmtree(results / "tables")
    shutil.rmtree(results / "figures")
    assert not {"method", "pretrain", "split", "scene"} & jobs(finished.planned("tables", "figures")).keys()
    finished.snakemake("tables", "figures")
    assert {path: path.read_bytes() for path in results.rglob("*.md")} == before


def test_a_failing_run_leaves_a_record_and_the_tables_say_so(finished: Project) -> None:
    hook = '"""Average the features of every class."""'
    fault = f"{hook}\n        if task.seed == 1:\n            raise RuntimeError('broken')"
    finished.edit("baselines/nearest_mean.py", lambda text: text.replace(hook, fault))
    done = finished.snakemake("tables")
    records = {path: json.loads(text) for path, text in finished.records().items() if "nearest_mean" in path.parts}
    assert {record["status"] for path, record in records.items() if path.name == "seed-1.json"} == {"failed"}
    assert {record["status"] for path, record in records.items() if path.name == "seed-0.json"} == {"ok"}
    assert "1 of 2" in (finished.root / "results/tiny/tables/toy_paper_main.md").read_text()
    # What is said of failed runs makes them again, and no other.
    (said,) = re.findall(rf"^2 of {2 * CELLS} runs failed, one is results/tiny/records/.*$", done.stderr, re.MULTILINE)
    subprocess.run(said.rpartition("after this: ")[2], shell=True, cwd=finished.root, check=True)
    assert {path for path in records if path not in finished.records()} == {
        path for path, record in records.items() if record["status"] == "failed"
    }
    assert jobs(finished.planned())["method"] == 2


def test_what_is_missing_is_made_again_and_nothing_else(finished: Project) -> None:
    before = finished.records()
    results = finished.root / "results/tiny"
    drawn = next((results / "figures").glob("*.png"))
    drawn.unlink()
    assert jobs(finished.planned())["figures"] == 1
    finished.snakemake()
    assert drawn.is_file()
    lost = next(path for path in before if "svm" in path.parts)
    (results / "records" / lost).unlink()
    assert jobs(finished.planned())["method"] == 1
    finished.snakemake("--until", "method")
    after = finished.records()
    assert {path for path in before if after[path] != before[path]} == {lost}
    (results / "splits/toy/strict/shots-2/seed-0.npz").unlink()
    assert jobs(finished.planned())["split"] == 1
    shutil.rmtree(results / "records")
    assert jobs(finished.planned())["method"] == CELLS


# A file that decides no result kills the process that writes a certain file, as long as the project has a file "die".
FAULT = """
def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> Path:
    if Path("die").is_file() and Path("die").read_text() in str(path):
        os._exit(3)
"""


def let_jobs_die(project: Project, writing: str) -> None:
    """Kill every process that is about to write a file with these words in its path, until `die` is removed."""
    (project.root / "die").write_text(writing)
    head = "\n" + FAULT.strip().partition("\n")[0] + "\n"
    project.edit("diffclip/files.py", lambda text: text if "_exit" in text else text.replace(head, FAULT, 1))


def test_a_further_seed_leaves_the_others_alone_and_a_killed_job_loses_nothing_and_hides_nothing(
    finished: Project,
) -> None:
    before = finished.records()
    let_jobs_die(finished, "nearest_mean/default/shots-2/seed-1.json")
    # An option changes no file that a job waits for, and with a further seed all cells have something to do.
    finished.edit(
        "config/tiny.yaml", lambda text: text.replace("nearest_mean:", "nearest_mean: {default: {use_aux: false}}")
    )
    finished.edit("config/tiny.yaml", lambda text: text.replace("seeds: 2", "seeds: 3"))
    assert "inspect" not in jobs(finished.planned()), "a further seed trained the inspected run again"
    done = finished.snakemake("--until", "method", check=False)
    assert done.returncode != 0
    # Snakemake has put the old records of the killed jobs back; the other cells have theirs and the new seed's.
    after = finished.records()
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} == {"seed-2.json"}
    assert len(after.keys() - before.keys()) == CELLS - 2
    assert f"2 of {3 * CELLS} runs have no record yet" in done.stderr
    assert jobs(finished.planned())["method"] == 2
    (finished.root / "die").unlink()
    copies = {path: path.read_text() for path in finished.root.glob("results/tiny/records/**/.*.kept")}
    assert {path.name for path in copies} == {".seed-0.json.kept"}
    finished.snakemake("--until", "method")
    after = finished.records()
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {path for path in before if "nearest_mean" in path.parts}
    # The seed before the one that died was finished and is not made again.
    assert {
        path.read_text() for path in finished.root.glob("results/tiny/records/**/nearest_mean/**/seed-0.json")
    } == set(copies.values())
    assert not list(finished.root.glob("results/tiny/records/**/.*.kept"))
    assert {json.loads(text)["options"]["use_aux"] for path, text in after.items() if path in changed} == {False}


def test_after_a_killed_stage_1_that_is_made_again_before_its_cells(finished: Project) -> None:
    weights = finished.root / "results/tiny/pretrained/toy"
    let_jobs_die(finished, "seed-1.safetensors")
    finished.edit("diffclip/training/pretraining.py", lambda text: f"{text}\n# an edit\n")
    assert finished.snakemake("--until", "pretrain", check=False).returncode != 0
    assert jobs(finished.planned())["pretrain"] == 2
    (finished.root / "die").unlink()
    logs = {path: json.loads(path.read_text())["created"] for path in weights.glob("*/.seed-0.log.json.kept")}
    finished.snakemake("--until", "pretrain")
    found = {path: json.loads((path.parent / "seed-0.log.json").read_text())["created"] for path in logs}
    assert len(logs) == 2
    assert found == logs
    assert not list(weights.glob("*/.*.kept"))


def test_a_run_ends_with_its_last_job_however_long_snakemake_would_pause(finished: Project) -> None:
    # A run that sat out a pause of an hour would meet the time limit of `snakemake`.
    pause = ("--max-jobs-per-timespan", "10000/1h")
    finished.snakemake("tables", "--forcerun", "tables", *pause)
    finished.edit("report/tables/__init__.py", lambda text: f"{text}\nraise SystemExit('out of paper')\n")
    done = finished.snakemake("tables", "--forcerun", "tables", *pause, check=False)
    assert done.returncode != 0
    assert "out of paper" in done.stdout + done.stderr


def test_a_wrong_config_is_refused_with_every_mistake_at_once(finished: Project) -> None:
    finished.edit("config/tiny.yaml", lambda text: text.replace("window: 5", "windw: 5").replace("[toy]", "[tou]"))
    done = finished.snakemake("--dry-run", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "config/tiny.yaml: windw: unknown key (did you mean 'window'?)" in said
    assert "unknown scene 'tou' (did you mean 'toy'?)" in said
    assert "Traceback" not in said


def test_the_profile_for_slurm_names_rules_that_are_there_and_agrees_with_the_default_one() -> None:
    default, slurm = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text()) for name in ("default", "slurm")
    )
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert set(slurm["set-resources"]) <= set(re.findall(r"^rule (\w+):$", text, re.MULTILINE))
    for key in ("rerun-incomplete", "keep-going", "show-failed-logs", "printshellcmds", "scheduler"):
        assert slurm[key] == default[key]


def test_planning_a_study_imports_nothing_heavy() -> None:
    code = (
        "import sys, yaml\n"
        "from diffclip.study.workflow import read_study\n"
        "study = read_study(yaml.safe_load(open('config/quick.yaml')), ['config/quick.yaml'])\n"
        "assert study.records\n"
        "heavy = {'torch', 'sklearn', 'open_clip', 'matplotlib', 'pandas', 'skimage'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_the_workflow_is_clean_for_snakemakes_linter_and_formatter() -> None:
    scripts = Path(sys.executable).parent
    files = ["Snakefile", *(str(path.relative_to(ROOT)) for path in (ROOT / "workflow/rules").glob("*.smk"))]
    formatted = subprocess.run([scripts / "snakefmt", "--check", *files], cwd=ROOT, capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stderr
    linted = subprocess.run([scripts / "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert linted.returncode == 0, linted.stdout + linted.stderr

"""Steps make what is missing or stale, and leave alone what is up to date."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.nearest_mean import NearestMean
from diffclip import steps
from diffclip.embedded.recipe import Recipe
from diffclip.embedded.store import log_in
from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method
from diffclip.protocol.records import Record, read_record
from diffclip.scene.scene import Scene
from diffclip.study.cells import Cell

CELL = Cell("tiny", "paper", "nearest_mean", "default", 3)


class Study:
    """A study's folder with one cell in it."""

    def __init__(self, root: Path, card: Path) -> None:
        self.root, self.card = root, card

    def run(self, seeds: list[int], cell: Cell = CELL, margin: int = 1, **options: Any) -> list[Record]:
        return steps.run_cell(cell, seeds, self.root, options=options, margin=margin, card=str(self.card))

    def files(self, cell: Cell = CELL) -> dict[str, tuple[int, bytes]]:
        """Return time and contents of every record and its predictions."""
        folder = (self.root / cell.record(0)).parent
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.iterdir())}


@pytest.fixture
def study(tmp_path: Path, tiny_card: Path) -> Study:
    return Study(tmp_path / "results", tiny_card)


def test_a_cell_leaves_a_record_and_predictions_of_every_seed(study: Study):
    records = study.run([0, 4])
    assert [record.identity.seed for record in records] == [0, 4]
    assert sorted(study.files()) == ["seed-0.json", "seed-0.npz", "seed-4.json", "seed-4.npz"]
    assert read_record(study.root / CELL.record(4)) == records[1]
    assert records[0].identity.scene == "tiny"


def test_running_twice_keeps_the_records_as_they_are(study: Study):
    first = study.run([0, 1])
    before = study.files()
    assert study.run([0, 1]) == first
    assert study.files() == before


def test_adding_a_seed_makes_that_one_alone(study: Study):
    study.run([0])
    before = study.files()
    study.run([0, 1])
    after = study.files()
    assert {name: after[name] for name in before} == before
    assert len(after) == 4


def test_a_changed_option_makes_the_run_again(study: Study):
    study.run([0])
    before = study.files()
    (record,) = study.run([0], use_aux=False)
    assert record.options["use_aux"] is False
    assert study.files()["seed-0.json"] != before["seed-0.json"]


def test_edited_sources_make_the_run_again(study: Study, monkeypatch):
    (before,) = study.run([0])
    monkeypatch.setattr("diffclip.protocol.evaluation.sources_sha256", lambda _: "edited")
    (after,) = study.run([0])
    assert after.fingerprint != before.fingerprint
    assert read_record(study.root / CELL.record(0)) == after


def test_a_changed_scene_makes_the_run_again(study: Study):
    (before,) = study.run([0])
    study.card.write_text(study.card.read_text().replace("bands: 16", "bands: 17"))
    (after,) = study.run([0])
    assert after.provenance.scene_sha256 != before.provenance.scene_sha256


def test_a_changed_margin_makes_strict_runs_again_and_no_others(study: Study):
    strict = Cell("tiny", "strict", "nearest_mean", "default", 2)
    (before,) = study.run([0], strict, margin=3)
    (after,) = study.run([0], strict, margin=2)
    assert (before.split.margin, after.split.margin) == (3, 2)
    (before,) = study.run([0], margin=3)
    assert study.run([0], margin=2) == [before]


def test_a_failed_run_says_so_lets_the_others_go_on_and_is_tried_again(study: Study, monkeypatch):
    from baselines.nearest_mean import NearestMean

    fit = NearestMean.fit

    def broken(self, task):
        if task.seed == 0:
            raise MemoryError("too large")
        fit(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(NearestMean, "fit", broken)
        records = study.run([0, 1])
    assert [(record.status, record.reason) for record in records] == [
        ("failed", "MemoryError: too large"),
        ("ok", None),
    ]
    kept = study.files()["seed-1.json"]
    assert [record.status for record in study.run([0, 1])] == ["ok", "ok"]
    assert study.files()["seed-1.json"] == kept


@pytest.mark.parametrize("broken", ["{", '{"status": "ok"}'])
def test_a_record_that_cannot_be_read_is_made_again(study: Study, broken):
    (record,) = study.run([0])
    path = study.root / CELL.record(0)
    path.write_text(broken)
    (again,) = study.run([0])
    assert again.metrics == record.metrics
    assert read_record(path) == again


class Killed(BaseException):
    """What nothing catches, as when a process is killed."""


def test_seeds_that_a_killed_job_had_finished_are_kept_though_their_records_were_removed(study: Study, monkeypatch):
    study.run([0, 1], use_aux=False)
    older = (study.root / CELL.record(0)).read_text()
    fit, died = NearestMean.fit, []

    def dies_once(self, task):
        if task.seed == 1 and not died:
            died.append(True)
            raise Killed
        fit(self, task)

    monkeypatch.setattr(NearestMean, "fit", dies_once)
    with pytest.raises(Killed):
        study.run([0, 1])
    finished = (study.root / CELL.record(0)).read_text()
    # What Snakemake does with outputs of a job that died: older files come back, or nothing is left.
    (study.root / CELL.record(0)).write_text(older)
    (study.root / CELL.record(1)).unlink(missing_ok=True)
    study.run([0, 1])
    assert (study.root / CELL.record(0)).read_text() == finished
    assert sorted(study.files()) == ["seed-0.json", "seed-0.npz", "seed-1.json", "seed-1.npz"]


def test_a_record_without_predictions_is_made_again(study: Study):
    study.run([0])
    (study.root / CELL.record(0)).with_suffix(".npz").unlink()
    study.run([0])
    assert sorted(study.files()) == ["seed-0.json", "seed-0.npz"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [truncated, lambda path: path.write_text("a plain text")])
def test_a_run_with_damaged_predictions_is_made_again_with_a_warning(study: Study, caplog, damage):
    (record,) = study.run([0])
    path = (study.root / CELL.record(0)).with_suffix(".npz")
    whole = path.read_bytes()
    damage(path)
    (again,) = study.run([0])
    assert again.metrics == record.metrics
    assert path.read_bytes() == whole
    assert f"{path}: no predictions beside the record: found no whole .npz file; the run is made again" in caplog.text


@pytest.mark.parametrize("name", ["scene.json", "hsi.npy", "labels.npy"])
@pytest.mark.parametrize("damage", [truncated, Path.unlink, lambda path: path.write_text("{}")])
def test_a_damaged_scene_is_loaded_again_with_a_warning(study: Study, caplog, name, damage):
    (record,) = study.run([0])
    path = study.root / "scenes" / "tiny" / name
    whole = path.read_bytes()
    damage(path)
    assert study.run([0]) == [record]
    assert path.read_bytes() == whole
    silent = name == "scene.json" and damage is not truncated
    assert silent or f"{path}: damaged: " in caplog.text


def test_a_damaged_split_is_written_again_with_a_warning(study: Study, caplog):
    study.run([0])
    path = study.root / "splits" / "tiny" / "paper" / "shots-3" / "seed-0.npz"
    whole = path.read_bytes()
    for damage in (truncated, lambda path: path.write_text("a plain text")):
        damage(path)
        study.run([0])
        assert path.read_bytes() == whole
    assert caplog.text.count(f"{path}: damaged: found no whole .npz file; it is made again") == 2


def test_a_scene_is_loaded_once_and_then_read_as_it_was(study: Study, monkeypatch):
    first = steps.prepare_scene(str(study.card), study.root)

    def never(_):
        raise AssertionError("loaded again")

    monkeypatch.setattr(steps, "load_scene", never)
    again = steps.prepare_scene(str(study.card), study.root)
    assert isinstance(again, Scene)
    for key in ("hsi", "aux", "labels"):
        assert (getattr(first, key) == getattr(again, key)).all()
    assert (again.name, again.class_names, again.info) == (first.name, first.class_names, first.info)
    del again.__dict__["sha256"]
    assert again.sha256 == first.sha256


def test_a_lost_quick_look_is_drawn_again_without_loading_the_scene(study: Study, monkeypatch):
    steps.prepare_scene(str(study.card), study.root)
    picture = study.root / "scenes" / "tiny" / "quicklook.png"
    picture.unlink()
    monkeypatch.setattr(steps, "load_scene", None)
    steps.prepare_scene(str(study.card), study.root)
    assert picture.is_file()


def test_a_split_file_changes_only_with_the_split(study: Study):
    scene = steps.prepare_scene(str(study.card), study.root)
    path = study.root / "splits" / "tiny" / "strict" / "shots-2" / "seed-0.npz"
    steps.make_split(scene, "strict", 2, 0, study.root, margin=3)
    os.utime(path, ns=(1, 1))
    steps.make_split(scene, "strict", 2, 0, study.root, margin=3)
    assert path.stat().st_mtime_ns == 1
    changed = steps.make_split(scene, "strict", 2, 0, study.root, margin=2)
    assert path.stat().st_mtime_ns != 1
    with np.load(path) as stored:
        assert stored["test"].tolist() == changed.test.tolist()


def test_wrong_input_stops_the_cell_and_leaves_no_record(study: Study):
    with pytest.raises(UserError, match="shots: class"):
        study.run([0], Cell("tiny", "paper", "nearest_mean", "default", 500))
    assert not (study.root / "records").exists()


TINY = {
    **dict.fromkeys(("stem", "width", "decoder_width", "embedding", "text_width"), 8),
    **dict.fromkeys(("depth", "decoder_depth", "text_depth", "heads", "decoder_heads", "text_heads"), 1),
    **dict.fromkeys(("pretrain_steps", "epochs"), 1),
}


def test_stage_1_on_another_scene_prepares_that_scene_and_shares_its_checkpoint(study: Study, monkeypatch):
    folder = study.root.parent / "config" / "scenes"
    folder.mkdir(parents=True)
    (folder / "far.yaml").write_text(study.card.read_text().replace("bands: 16", "bands: 12"))
    monkeypatch.chdir(study.root.parent)
    cell = Cell("tiny", "paper", "diffclip", "x", 2, 3, 0.5)
    (record,) = study.run([0], cell, pretrain_scene="far", **TINY)
    assert record.status == "ok"
    assert not record.traits.transductive
    (checkpoint,) = study.root.glob("pretrained/*/*/seed-0.safetensors")
    assert checkpoint.parts[-3] == "far"
    assert record.provenance.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    # The far scene's own runs start from the same file; another far scene makes the run again.
    time = checkpoint.stat().st_mtime_ns
    own = Cell("far", "paper", "diffclip", "x", 2, 3, 0.5)
    (far,) = steps.run_cell(own, [0], study.root, options={**TINY}, margin=1)
    assert far.traits.transductive
    assert checkpoint.stat().st_mtime_ns == time
    (folder / "far.yaml").write_text(study.card.read_text().replace("bands: 16", "bands: 11"))
    (again,) = study.run([0], cell, pretrain_scene="far", **TINY)
    assert again.fingerprint != record.fingerprint


def test_a_method_that_takes_the_embedded_clip_finds_it_trained_once_for_all_and_says_so(study: Study, monkeypatch):
    tiny = Recipe(scenes=(90_001, 90_002), side=64, steps=1, batch=8, checked_pixels=2)
    monkeypatch.setattr("diffclip.embedded.store.Recipe", lambda: tiny)
    cell = Cell("tiny", "paper", "clip_zero_shot", "embedded", 3, window=5)
    first = study.run([0, 1], cell, clip_weights="embedded")
    folder = study.root / "embedded-clip"
    trained = log_in(folder).stat().st_mtime_ns
    sha256 = hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
    for record in first:
        assert record.traits.clip_weights == "embedded"
        assert record.provenance.embedded_clip_sha256 == sha256
    assert list((study.root / "cache" / "clip-features").glob("*.npz"))
    assert study.run([0, 1], cell, clip_weights="embedded") == first
    assert log_in(folder).stat().st_mtime_ns == trained
    # Another embedded CLIP makes the runs again.
    monkeypatch.setattr("diffclip.embedded.store.Recipe", lambda: dataclasses.replace(tiny, seed=1))
    assert study.run([0], cell, clip_weights="embedded")[0].fingerprint != first[0].fingerprint
    assert study.run([0])[0].provenance.embedded_clip_sha256 is None


def test_seeds_of_a_cell_are_trained_in_groups_of_seeds_at_once_from_stage_1_on(study: Study):
    cell = Cell("tiny", "paper", "diffclip", "x", 2, 3, 0.5)
    arguments: dict[str, Any] = {"options": TINY, "margin": 1, "card": str(study.card), "seeds_at_once": 2}
    records = steps.run_cell(cell, [0, 1, 2], study.root, **arguments)
    assert [record.cost.seeds_together for record in records if record.cost] == [2, 2, 1]
    logs = sorted(study.root.glob("pretrained/*/*/seed-*.log.json"))
    assert [json.loads(log.read_text())["seeds_together"] for log in logs] == [2, 2, 1]
    # What is there is kept, a lost one is made again; one seed by itself starts from the same checkpoint.
    (study.root / cell.record(1)).unlink()
    before = study.files(cell)
    again = steps.run_cell(cell, [0, 1, 2], study.root, **arguments)
    assert {name: found for name, found in study.files(cell).items() if name in before and "seed-1" not in name} == {
        name: found for name, found in before.items() if "seed-1" not in name
    }
    assert again[1].fingerprint == records[1].fingerprint
    checkpoints = {log: log.read_bytes() for log in logs}
    pretraining = make_method("diffclip", "x", TINY).pretraining(3, 0.5)
    assert pretraining is not None
    scene = steps.prepare_scene(str(study.card), study.root)
    steps.make_pretraining(pretraining, scene, [0], study.root, device="cpu", seeds_at_once=2)
    assert {log: log.read_bytes() for log in logs} == checkpoints

"""A checkpoint is made once, shared, and made again when something that decides it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diffclip.protocol.checkpoints import (
    checkpoint_name,
    find_checkpoint,
    forget_checkpoint,
    log_of,
    make_checkpoints,
)
from diffclip.protocol.method import Pretraining

calls: list[int] = []


def pretrain(imagery, settings, *, seed, device, path):
    """Write the settings as if they were weights; "crash" stops half way."""
    calls.append(seed)
    path.write_text(f"half {settings}")
    if settings.get("crash") and len(calls) > 1:
        raise RuntimeError("out of memory")
    path.write_text(f"{settings} {seed} {imagery.shape}")
    return {"loss": [1.0, 0.5]}


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def wanted(**settings) -> Pretraining:
    return Pretraining("toy", f"{__name__}:pretrain", settings)


@pytest.fixture
def make(tiny_scene, tmp_path: Path):
    """Return `make(scene=, seed=, device=, dies=, **settings)`, always at the same path; its job may die afterwards."""

    def make(scene=None, seed=0, device="cpu", dies=False, **settings):
        path = tmp_path / "w.safetensors"
        (made,) = make_checkpoints(wanted(**settings), scene or tiny_scene(), [seed], [path], device=device)
        if not dies:
            forget_checkpoint(path)
        return made

    return make


def test_a_checkpoint_is_made_once_and_then_reused(make):
    first = make(width=8)
    again = make(width=8)
    assert calls == [0]
    assert (again.fingerprint, again.seconds, again.sha256) == (first.fingerprint, first.seconds, first.sha256)
    assert "(24, 24)" in first.path.read_text()


def test_the_log_beside_it_says_how_it_was_made(make, tiny_scene):
    made = make(width=8)
    story = json.loads(log_of(made.path).read_text())
    assert story["measured"] == {"loss": [1.0, 0.5]}
    assert story["settings"] == {"width": 8}
    assert story["fingerprint"] == made.fingerprint
    assert story["scene_sha256"] == tiny_scene().sha256


@pytest.mark.parametrize("changed", ["settings", "seed", "scene"])
def test_a_checkpoint_is_made_again_when_what_decides_it_changes(make, tiny_scene, changed):
    first = make(width=8)
    other = {
        "settings": lambda: make(width=9),
        "seed": lambda: make(width=8, seed=1),
        "scene": lambda: make(tiny_scene(noise=0.5), width=8),
    }[changed]()
    assert len(calls) == 2
    assert other.fingerprint != first.fingerprint


def test_a_checkpoint_is_made_again_when_its_sources_change(make, monkeypatch):
    first = make(width=8)
    monkeypatch.setattr("diffclip.protocol.checkpoints.sources_sha256", lambda modules: f"edited {modules}")
    assert make(width=8).fingerprint != first.fingerprint
    assert len(calls) == 2


def test_the_device_decides_nothing(make, monkeypatch):
    monkeypatch.setattr("diffclip.protocol.checkpoints.device_name", lambda device: device)
    assert make(width=8, device="cuda").fingerprint == make(width=8, device="cpu").fingerprint
    assert calls == [0]


@pytest.mark.parametrize("lost", ["weights", "log"])
def test_a_checkpoint_without_weights_or_log_is_made_again(make, lost):
    made = make(width=8)
    (made.path if lost == "weights" else log_of(made.path)).unlink()
    make(width=8)
    assert len(calls) == 2


@pytest.mark.parametrize("broken", ["{", "{}", "[]"])
def test_a_checkpoint_whose_log_is_damaged_is_made_again_with_a_warning(make, caplog, broken):
    made = make(width=8)
    log_of(made.path).write_text(broken)
    assert make(width=8).fingerprint == made.fingerprint
    assert len(calls) == 2
    assert f"{log_of(made.path)}: damaged: " in caplog.text


def test_a_checkpoint_whose_weights_are_damaged_is_made_again_with_a_warning(make, caplog):
    made = make(width=8)
    made.path.write_text(made.path.read_text()[:3])
    assert make(width=8).sha256 == made.sha256
    assert len(calls) == 2
    assert f"{made.path}: damaged: found other weights than those that {log_of(made.path).name} tells of" in caplog.text


def test_weights_whose_log_holds_no_checksum_are_made_again_with_a_warning(make, caplog):
    made = make(width=8)
    story = json.loads(log_of(made.path).read_text())
    del story["sha256"]
    log_of(made.path).write_text(json.dumps(story))
    assert make(width=8).sha256 == made.sha256
    assert len(calls) == 2
    assert f"{log_of(made.path)}: damaged: found no sha256" in caplog.text


def test_a_checkpoint_outlives_the_job_that_made_it_and_died(make):
    made = make(width=8, dies=True)
    for path in (made.path, log_of(made.path)):
        path.unlink()  # as Snakemake does with what a job that died has made
    assert make(width=8).sha256 == made.sha256
    assert calls == [0]
    assert {path.name for path in made.path.parent.iterdir()} == {"w.safetensors", "w.log.json"}


def test_a_checkpoint_of_other_settings_is_not_taken_for_one_that_a_job_left(make):
    made = make(width=8, dies=True)
    made.path.unlink()
    make(width=16)
    assert calls == [0, 0]


def test_a_crash_while_it_is_made_again_leaves_none_that_counts(make, tiny_scene):
    made = make(crash=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        make(tiny_scene(noise=0.5), crash=True)
    assert find_checkpoint(wanted(crash=True), tiny_scene().sha256, 0, made.path) is None


def test_the_name_tells_settings_apart_and_functions_too():
    names = {
        checkpoint_name(pretraining)
        for pretraining in (
            wanted(width=8),
            wanted(width=9),
            wanted(width=8, depth=1),
            Pretraining("toy", "elsewhere:pretrain", {"width": 8}),
        )
    }
    assert len(names) == 4
    assert all(name.startswith("toy_") and len(name) == len("toy_") + 8 for name in names)
    assert checkpoint_name(wanted(a=1, b=2)) == checkpoint_name(wanted(b=2, a=1))


def pretrain_many(imagery, settings, *, seeds, device, paths):
    calls.append(seeds)
    if settings.get("breaks"):
        raise MemoryError("too large")
    for seed, path in zip(seeds, paths, strict=True):
        path.write_text(f"{seed}")
    return [{"loss": [float(seed)]} for seed in seeds]


@pytest.fixture
def make_many(tiny_scene, tmp_path: Path):
    """Return `make(seeds, number, **settings)`: checkpoints of several seeds, together where they can be."""

    def make(seeds, number=None, **settings):
        pretraining = replace(wanted(**settings), many=f"{__name__}:pretrain_many")
        paths = [tmp_path / f"seed-{seed}.safetensors" for seed in seeds]
        return make_checkpoints(pretraining, tiny_scene(), seeds, paths, device="cpu", seeds_at_once=number)

    return make


def test_seeds_are_pretrained_together_and_those_that_are_there_are_kept(make_many):
    first = make_many([0, 1])
    again = make_many([0, 1, 2, 3])
    assert calls == [[0, 1], [2, 3]]
    assert [made.path.read_text() for made in again] == ["0", "1", "2", "3"]
    assert [made.fingerprint for made in again[:2]] == [made.fingerprint for made in first]
    story = json.loads(log_of(again[2].path).read_text())
    assert (story["seeds_together"], story["measured"], story["seed"]) == (2, {"loss": [2.0]}, 2)


def test_seeds_that_cannot_be_pretrained_together_are_pretrained_one_by_one(make_many):
    made = make_many([0, 1], breaks=True)
    assert calls == [[0, 1], 0, 1]
    assert json.loads(log_of(made[1].path).read_text())["seeds_together"] == 1


def test_another_number_of_seeds_at_once_asks_for_other_checkpoints(make_many):
    prints = {make_many([0], number)[0].fingerprint for number in (None, 1, 2)}
    assert len(prints) == 3

"""A run leaves a record and predictions that agree, or a record that says why not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.checkpoints import Checkpoint
from diffclip.protocol.evaluation import Run, make_run
from diffclip.protocol.method import Method, Pretraining
from diffclip.protocol.metrics import confusion_matrix, metrics_of
from diffclip.protocol.records import read_predictions, read_record
from diffclip.protocol.splits import draw_validation, window_overlap

TIMES = {
    "cost": ("pretrain_seconds", "fit_seconds", "predict_seconds", "peak_memory_mb", "energy_joules"),
    "provenance": ("created",),
}


class Spy(Method):
    """Keeps what it is given and asks for what it should not have."""

    title = "Spy"

    def fit(self, task):
        self.given = task
        self.saw_truth = hasattr(self, "truth")

    def predict(self, pixels):
        return np.zeros((len(pixels), len(self.given.classes)))


class Failing(Spy):
    """Raises `error` in `fit`; without one it gives back scores that are not finite."""

    def __init__(self, error: Exception | None = None):
        super().__init__()
        self.error = error

    def fit(self, task):
        if self.error is not None:
            raise self.error
        super().fit(task)

    def predict(self, pixels):
        return np.full((len(pixels), len(self.given.classes)), np.nan)


class Picks(Spy):
    """Looks at validation labels."""

    uses_validation = True


class PicksAndTests(Picks):
    """Is tested on them all the same."""

    tests_on_validation = True


def arrays_in(thing: Any, seen: set[int]) -> list[np.ndarray]:
    """Every array that can be reached from `thing` through attributes, containers and views."""
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return [thing, *arrays_in(thing.base, seen)]
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = list(thing)
    else:
        parts = list(vars(thing).values()) if hasattr(thing, "__dict__") and not isinstance(thing, type) else []
    return [array for part in parts for array in arrays_in(part, seen)]


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_metrics_can_be_made_again_from_predictions_and_labels(run_of, tmp_path: Path, protocol):
    run = run_of(protocol=protocol)
    record = make_run(run, tmp_path / "seed-0.json")
    assert read_record(tmp_path / "seed-0.json") == record
    stored = read_predictions(tmp_path / "seed-0.json")
    assert stored["pixels"].tolist() == run.split.test.tolist()
    truth = run.scene.labels.ravel()[stored["pixels"]]
    confusion = confusion_matrix(truth, stored["predicted"], run.classes)
    assert record.status == "ok"
    assert record.confusion == confusion.tolist()
    assert record.metrics == metrics_of(confusion, run.scene.class_names)
    assert record.metrics.oa > 60  # well above chance: columns are not mixed up


def test_predictions_and_confidence_are_those_of_the_scores(run_of, tmp_path: Path):
    run = run_of()
    make_run(run, tmp_path / "seed-0.json")
    stored = read_predictions(tmp_path / "seed-0.json")
    scores = run.method.classify(stored["pixels"].astype(np.int64)).astype(np.float64)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert (stored["predicted"] == run.classes[scores.argmax(axis=1)]).all()
    assert np.allclose(stored["confidence"], softmax.max(axis=1), atol=1e-3)
    assert stored["predicted"].dtype == np.uint8
    assert stored["confidence"].dtype == np.float16


def test_a_record_says_how_the_split_lies(run_of, tmp_path: Path):
    run = run_of(protocol="strict", margin=5)
    found = make_run(run, tmp_path / "seed-0.json").split
    counts = np.bincount(run.scene.labels.ravel()[run.split.test], minlength=4)[1:]
    assert (found.margin, found.train_pixels, found.test_pixels) == (5, 12, len(run.split.test))
    assert list(found.test_pixels_per_class.values()) == counts.tolist()
    overlap = window_overlap(run.split, run.scene.shape, 0)
    assert (found.overlap_percent, found.contains_percent) == overlap


def test_a_skipped_class_is_left_out_everywhere(scene_of, run_of, tmp_path: Path):
    labels = np.repeat([1, 2, 3], 8)[None].repeat(24, axis=0).astype(np.int16)
    labels[1:, 8:16] = 0
    labels[0, 12:16] = 0  # class 2 keeps four pixels
    run = run_of(scene=scene_of(labels), on_small_class="skip")
    record = make_run(run, tmp_path / "seed-0.json")
    assert record.class_names == ["class 1", "class 3"]
    assert record.split.skipped_classes == ["class 2"]
    assert list(record.metrics.per_class) == ["class 1", "class 3"]
    assert np.shape(record.confusion) == (2, 2)
    assert set(read_predictions(tmp_path / "seed-0.json")["predicted"]) <= {1, 3}


@pytest.mark.parametrize("reason", ["fit", "predict"])
def test_a_method_that_raises_leaves_a_failed_record_with_the_reason_and_no_predictions(run_of, tmp_path, reason):
    path = tmp_path / "seed-0.json"
    make_run(run_of(), path)
    record = make_run(run_of(Failing(ZeroDivisionError("by zero") if reason == "fit" else None)), path)
    assert read_record(path) == record
    assert record.status == "failed"
    assert (record.metrics, record.confusion, record.cost) == (None, None, None)
    expected = "ZeroDivisionError: by zero" if reason == "fit" else "ValueError: Failing.predict: found "
    assert record.reason.startswith(expected)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_user_is_passed_on_and_leaves_nothing(run_of, tmp_path: Path):
    with pytest.raises(UserError, match="mend me"):
        make_run(run_of(Failing(UserError("mend me"))), tmp_path / "seed-0.json")
    assert list(tmp_path.iterdir()) == []


def test_no_record_vouches_for_predictions_of_another_run(run_of, tmp_path: Path, monkeypatch):
    path = tmp_path / "seed-0.json"
    make_run(run_of(seed=0), path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffclip.protocol.evaluation.write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        make_run(run_of(seed=1), path)
    assert not path.exists()


def test_no_label_beyond_the_training_pixels_can_be_reached_from_a_task(run_of, tmp_path: Path):
    run = run_of(Spy())
    make_run(run, tmp_path / "seed-0.json")
    task, scene = run.method.given, run.scene
    reached = arrays_in(task, set())
    assert any(array is scene.hsi for array in reached), "the walk finds what is there"
    assert not any(np.shares_memory(array, scene.labels) for array in reached)
    assert not any(array.size == scene.labels.size for array in reached)
    assert task.train_labels.tolist() == scene.labels.ravel()[run.split.train].tolist()
    assert task.scene is scene.imagery
    assert not run.method.saw_truth


def test_validation_labels_are_handed_out_on_demand_and_are_not_tested_on(run_of, tiny_scene, tmp_path: Path):
    scene = tiny_scene()
    run = run_of(Picks(), scene)
    record = make_run(run, tmp_path / "seed-0.json")
    task, flat = run.method.given, scene.labels.ravel()
    assert task.validation_pixels.tolist() == draw_validation(scene, run.split, 0).tolist()
    assert task.validation_labels.tolist() == flat[task.validation_pixels].tolist()
    tested = read_predictions(tmp_path / "seed-0.json")["pixels"]
    assert not set(tested.tolist()) & set(task.validation_pixels.tolist())
    assert len(tested) + len(task.validation_pixels) == len(run.split.test)
    facts = record.split
    assert (facts.test_pixels, facts.validation_pixels) == (len(tested), len(task.validation_pixels))
    assert sum(facts.test_pixels_per_class.values()) == np.sum(record.confusion) == len(tested)


def test_a_method_that_is_tested_on_validation_pixels_meets_all_test_pixels(run_of, tmp_path: Path):
    run = run_of(PicksAndTests())
    record = make_run(run, tmp_path / "seed-0.json")
    assert record.split.test_pixels == len(run.split.test) == np.sum(record.confusion)
    assert record.split.validation_pixels == len(run.method.given.validation_pixels) > 0


def test_no_other_method_gets_validation_labels(run_of, tmp_path: Path):
    run = run_of(Spy())
    record = make_run(run, tmp_path / "seed-0.json")
    assert (run.method.given.validation_pixels, run.method.given.validation_labels) == (None, None)
    assert (record.split.validation_pixels, record.split.test_pixels) == (0, len(run.split.test))


def test_a_protocol_without_validation_labels_refuses_who_looks_at_them(run_of, tmp_path: Path):
    with pytest.raises(UserError, match="looks at validation labels: found protocol strict, expected paper"):
        make_run(run_of(Picks(), protocol="strict"), tmp_path / "seed-0.json")
    assert list(tmp_path.iterdir()) == []


class Elsewhere(Spy):
    """Learns from a scene of its choice."""

    def __init__(self, scene: str):
        super().__init__()
        self.scene = scene

    def pretraining(self, window, mask_ratio):
        return Pretraining("toy", "toy:pretrain", scene=self.scene)


@pytest.mark.parametrize(("scene", "transductive"), [("elsewhere", False), ("tiny", True)])
def test_learning_from_the_tested_scene_is_transductive_by_whatever_name(run_of, tmp_path: Path, scene, transductive):
    record = make_run(run_of(Elsewhere(scene)), tmp_path / "seed-0.json")
    assert record.traits.transductive is transductive


def test_only_an_oracle_is_shown_the_truth(run_of, tmp_path: Path):
    oracle = type("Oracle", (Spy,), {"oracle": True})()
    run = run_of(oracle)
    make_run(run, tmp_path / "seed-0.json")
    assert oracle.saw_truth
    assert oracle.truth.tolist() == run.scene.labels.ravel().tolist()


def test_the_controls_bracket_every_table(run_of, tmp_path: Path):
    right = make_run(run_of("true_labels"), tmp_path / "true.json")
    chance = make_run(run_of("random_labels"), tmp_path / "random.json")
    assert (right.metrics.oa, right.metrics.kappa) == (100, 100)
    assert 15 < chance.metrics.oa < 50
    assert right.traits.control
    assert chance.traits.control


def test_the_same_run_twice_differs_in_cost_and_date_alone(run_of, tmp_path: Path):
    for name in ("one", "two"):
        make_run(run_of(), tmp_path / name / "seed-0.json")
    one, two = (json.loads((tmp_path / name / "seed-0.json").read_text()) for name in ("one", "two"))
    for block, keys in TIMES.items():
        for key in keys:
            one[block].pop(key), two[block].pop(key)
    assert one == two
    first, second = (read_predictions(tmp_path / name / "seed-0.json") for name in ("one", "two"))
    assert all((first[key] == second[key]).all() for key in first)


def test_the_fingerprint_changes_with_all_that_decides_the_result(run_of, tiny_scene, tmp_path, monkeypatch):
    runs: dict[str, Run] = {
        "as it is": run_of(),
        "options": run_of(options={"use_aux": False}),
        "seed": run_of(seed=1),
        "shots": run_of(shots=5),
        "protocol": run_of(protocol="strict"),
        "margin": run_of(protocol="strict", margin=4),
        "method": run_of("random_labels"),
        "scene": run_of(scene=tiny_scene(noise=0.31)),
        "window": run_of(window=5),
        "checkpoint": run_of(checkpoint=Checkpoint(tmp_path / "a", "abc", 1.0)),
        "another checkpoint": run_of(checkpoint=Checkpoint(tmp_path / "a", "abd", 1.0)),
    }
    found = {what: run.fingerprint for what, run in runs.items()}
    split = dataclasses.replace(run_of(), split=runs["seed"].split)
    found["split"] = split.fingerprint
    monkeypatch.setattr("diffclip.protocol.evaluation.sources_sha256", lambda _: "edited")
    found["sources"] = run_of().fingerprint
    assert len(set(found.values())) == len(found), found


def test_the_fingerprint_changes_with_the_weights_behind_a_path(run_of, tmp_path: Path):
    path = tmp_path / "texts.npz"
    found = set()
    for value in (1.0, 2.0):
        np.savez(path, names=np.array(["asphalt", "tree", "roof"]), embeddings=np.full((3, 4), value))
        found.add(run_of("diffclip", window=5, options={"text_tower": "file", "text_file": str(path)}).fingerprint)
    assert len(found) == 2


def test_the_fingerprint_does_not_change_with_device_time_or_spelling(run_of, tmp_path: Path):
    plain = run_of().fingerprint
    assert run_of(device="cuda").fingerprint == plain
    assert run_of(options={"use_aux": True}).fingerprint == plain
    one, two = (run_of(checkpoint=Checkpoint(tmp_path / name, "abc", cost)) for name, cost in (("a", 1.0), ("b", 2.0)))
    assert one.fingerprint == two.fingerprint


def test_a_record_carries_the_fingerprint_and_checksums_of_its_run(run_of, tmp_path: Path):
    run = run_of()
    record = make_run(run, tmp_path / "seed-0.json")
    assert record.fingerprint == run.fingerprint
    assert record.provenance.scene_sha256 == run.scene.sha256
    assert record.provenance.split_sha256 == run.split.sha256
    assert record.options["use_aux"] is True
    assert record.identity == run.identity

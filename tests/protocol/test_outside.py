"""Programs outside of the suite: what they are given, and what becomes of their answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffclip import steps
from diffclip.errors import UserError
from diffclip.protocol.outside import export_imagery, read_answers
from diffclip.study import layout
from diffclip.study.cells import Cell

CLASSES = np.array([1, 3], dtype=np.int16)
CELL = Cell("tiny", "paper", "outside", "mine", 3)


def answers(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(lines))
    return path


def test_labels_become_scores_of_one_and_scores_stay_as_they_are(tmp_path):
    pixels, scores = read_answers(answers(tmp_path, "pixel,label", "7,3", "2,1"), CLASSES, 10)
    assert pixels.tolist() == [7, 2]
    assert scores.tolist() == [[0, 1], [1, 0]]
    pixels, scores = read_answers(answers(tmp_path, "pixel, 1, 3", "4,-0.5,1e3\r"), CLASSES, 10)
    assert (pixels.tolist(), scores.tolist()) == ([4], [[-0.5, 1000.0]])


WRONG = {
    "empty": ([], "header: found 'nothing', expected 'pixel,label' or 'pixel,1,3'"),
    "header": (["pixel,1,2", "0,1,1"], "header: found 'pixel,1,2', expected 'pixel,label' or 'pixel,1,3'"),
    "words": (["pixel,label", "0,tree"], "found lines that are no 2 numbers"),
    "label": (["pixel,label", "0,2"], "label: found 2, expected one of 1, 3"),
    "pixel": (["pixel,label", "10,1"], "pixel: found 10, expected whole numbers from 0 to 9"),
    "half": (["pixel,label", "0.5,1"], "pixel: found 0.5, expected whole numbers"),
    "twice": (["pixel,label", "1,1", "1,3"], "pixel: found one twice"),
    "nan": (["pixel,1,3", "1,nan,0"], "found scores that are not finite"),
}


@pytest.mark.parametrize(("lines", "message"), WRONG.values(), ids=WRONG)
def test_wrong_answers_are_refused_with_what_was_expected(tmp_path, lines, message):
    with pytest.raises(UserError, match=message):
        read_answers(answers(tmp_path, *lines), CLASSES, 10)


def test_answers_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_bytes("pixel,label\n0,1\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"answers\.csv: found bytes that are no UTF-8 \(from 0 on\), expected text"):
        read_answers(path, CLASSES, 10)


@pytest.fixture
def exported(tiny_card, tmp_path):
    """The study's folder with one task, its scene, and a function that scores the program's answers."""
    scene = steps.prepare_scene(str(tiny_card), tmp_path)
    (path,) = steps.export_tasks(scene, "paper", 3, [0], tmp_path, margin=1)

    def score():
        (record,) = steps.run_cell(CELL, [0], tmp_path, options={"reach": 0}, margin=1, card=str(tiny_card))
        return record

    with np.load(path) as stored:
        return scene, dict(stored), tmp_path / layout.ANSWERS.format(**CELL.wildcards(), program="mine", seed=0), score


def test_a_task_holds_the_run_and_no_label_of_a_test_pixel(exported, tmp_path):
    scene, task, _, _ = exported
    np.testing.assert_array_equal(task["train_labels"], scene.labels.ravel()[task["train_pixels"]])
    assert len(task["train_labels"]) == 30
    labelled = np.flatnonzero(scene.labels)
    np.testing.assert_array_equal(np.sort(np.concatenate([task["train_pixels"], task["test_pixels"]])), labelled)
    of_pixels, of_classes = ["test_pixels", "train_labels", "train_pixels"], ["class_descriptions", "class_names"]
    assert sorted(task) == [*of_classes, "classes", "seed", "shape", "shots", "split_sha256", *of_pixels]
    with np.load(tmp_path / "tasks/tiny/imagery.npz") as imagery:
        np.testing.assert_array_equal(imagery["hsi"], scene.hsi)
        assert sorted(imagery) == ["aux", "aux_names", "hsi", "sha256", "wavelengths"]


def test_imagery_is_written_once(exported, tmp_path):
    path = tmp_path / "tasks/tiny/imagery.npz"
    before = path.stat().st_mtime_ns
    export_imagery(exported[0].imagery, path)
    assert path.stat().st_mtime_ns == before


def test_answers_are_scored_into_a_record_again_when_they_change(exported):
    scene, task, path, score = exported
    with pytest.raises(UserError, match="no such answers; expected a rule in workflow/outside"):
        score()
    truth = scene.labels.ravel()[task["test_pixels"]]
    path.parent.mkdir(parents=True)
    lines = [f"{pixel},{label}" for pixel, label in zip(task["test_pixels"], truth, strict=True)]
    path.write_text("\n".join(["pixel,label", *lines]))
    record = score()
    assert record.metrics.oa == 100.0
    assert (record.cost, record.traits.reach) == (None, 0)
    assert score().provenance.created == record.provenance.created
    wrong = truth[0] % 10 + 1
    path.write_text("\n".join(["pixel,label", f"{task['test_pixels'][0]},{wrong}", *lines[1:]]))
    assert score().metrics.oa < 100.0
    path.write_text("\n".join(["pixel,label", *lines[1:]]))
    with pytest.raises(UserError, match=f"found no answer for pixel {task['test_pixels'][0]} and 0 more"):
        score()


def test_answers_to_a_task_of_another_split_are_refused(tiny_card, tmp_path):
    strict = Cell("tiny", "strict", "outside", "mine", 3)
    scene = steps.prepare_scene(str(tiny_card), tmp_path)
    path = tmp_path / layout.ANSWERS.format(**strict.wildcards(), program="mine", seed=0)
    path.parent.mkdir(parents=True)

    def answer(pixels):
        path.write_text("\n".join(["pixel,label", *(f"{pixel},{scene.labels.ravel()[pixel]}" for pixel in pixels)]))

    def score():
        (record,) = steps.run_cell(strict, [0], tmp_path, options={"reach": 0}, margin=3, card=str(tiny_card))
        return record

    answer(np.flatnonzero(scene.labels))
    with pytest.raises(UserError, match="found no task that it answers .*expected that of this run, whose margin is 3"):
        score()
    (task,) = steps.export_tasks(scene, "strict", 3, [0], tmp_path, margin=1)
    with pytest.raises(UserError, match=f"csv: answers the task {task}: .*another split, .*margin is 3; export"):
        score()
    assert not (tmp_path / "records").exists()
    (task,) = steps.export_tasks(scene, "strict", 3, [0], tmp_path, margin=3)
    with pytest.raises(UserError, match=r"csv: found answers for pixel \d+ and \d+ more that this run does not test"):
        score()
    assert not (tmp_path / "records").exists()
    with np.load(task) as stored:
        answer(stored["test_pixels"])
    assert score().split.margin == 3


def test_damaged_imagery_is_written_again_with_a_warning(exported, tmp_path, caplog):
    path = tmp_path / "tasks/tiny/imagery.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    export_imagery(exported[0].imagery, path)
    assert path.read_bytes() == whole
    assert f"{path}: damaged: found no whole .npz file; it is made again" in caplog.text

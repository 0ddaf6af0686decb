"""File names below a study's folder: one template each, no two the same."""

from __future__ import annotations

import string

from diffclip.protocol.checkpoints import log_of as checkpoint_log
from diffclip.study import layout
from diffclip.study.cells import Cell

TEMPLATES = {name: value for name, value in vars(layout).items() if name.isupper()}


def keys_of(template: str) -> set[str]:
    return {key for _, key, _, _ in string.Formatter().parse(template) if key}


def test_no_two_templates_can_name_the_same_file():
    shapes = {string.Formatter().vformat(value, (), dict.fromkeys(keys_of(value), "x")) for value in TEMPLATES.values()}
    assert len(shapes) == len(TEMPLATES)
    assert layout.TABLE.startswith(layout.TABLES + "/")
    assert layout.FIGURE.startswith(layout.FIGURES + "/")


def test_a_cell_fills_the_templates_of_its_files():
    wildcards = Cell("a", "paper", "svm", "emp", 2).wildcards()
    assert layout.SPLIT.format(**wildcards, seed=1) == "splits/a/paper/shots-2/seed-1.npz"
    assert layout.SCENE.format(**wildcards) == "scenes/a/scene.json"


def test_logs_and_predictions_lie_beside_their_files(tmp_path):
    checkpoint = layout.CHECKPOINT.format(scene="a", checkpoint="c_1.5", seed=0)
    assert layout.log_of(checkpoint) == "pretrained/a/c_1.5/seed-0.log.json"
    assert str(checkpoint_log(tmp_path / checkpoint)) == f"{tmp_path}/{layout.log_of(checkpoint)}"
    record = Cell("a", "paper", "svm", "emp", 2, 11, 0.7).record(0)
    assert layout.predictions_of(record) == str((tmp_path / record).with_suffix(".npz").relative_to(tmp_path))

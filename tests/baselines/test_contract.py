"""What every method must keep, DiffCLIP and each file in `baselines/` alike; a new file needs no new test.

A fit is what costs, so there are few: every variant is fitted once, on the smallest task there is, and checked on it;
a method's default is fitted twice more, on a task with the same training pixels and other test labels. Options that
make a method small enough are in `fast.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.protocol.catalogue import find_method, make_method, method_names, module_name
from diffclip.protocol.method import SCENE_WIDE, Method
from diffclip.protocol.outside import Outside
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene
from tests.baselines.fast import FAST, TINY_CLIP

WINDOW, MASK_RATIO = 5, 0.5
CASES = [(name, variant) for name in method_names() for variant in ("default", *find_method(name).variants)]
every_case = pytest.mark.parametrize(("name", "variant"), CASES, ids=[f"{name}-{variant}" for name, variant in CASES])
every_method = pytest.mark.parametrize("name", method_names())


class Run(NamedTuple):
    """A fitted method, its task and its scores for the pixels of the scene that are looked at."""

    method: Method
    task: FewShotTask
    pixels: np.ndarray
    scores: np.ndarray


@pytest.fixture(scope="module")
def task_of(
    draw_task: Callable[..., FewShotTask], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., FewShotTask]:
    """Return `task_of(method, scene, **split)`, which makes the checkpoint too where a method wants one."""
    checkpoints: dict[str, Any] = {}

    def checkpoint(method: Method, scene: Scene, window: int | None, mask_ratio: float | None) -> Any:
        wanted = method.pretraining(window, mask_ratio)
        if wanted is None:
            return None
        key = f"{wanted} {scene.sha256}"
        if key not in checkpoints:
            module, _, function = wanted.function.partition(":")
            path = tmp_path_factory.mktemp("pretrained") / "checkpoint"
            pretrain = getattr(importlib.import_module(module), function)
            pretrain(scene.imagery, wanted.settings, seed=0, device="cpu", path=path)
            checkpoints[key] = path
        return checkpoints[key]

    def draw(method: Method, scene: Scene, **split: Any) -> FewShotTask:
        window = WINDOW if "window" in method.axes else None
        mask_ratio = MASK_RATIO if "mask_ratio" in method.axes else None
        pretrained = checkpoint(method, scene, window, mask_ratio)
        task = draw_task(scene, **split, window=window, mask_ratio=mask_ratio, pretrained=pretrained)
        return with_validation(task, scene) if method.uses_validation else task

    return draw


def with_validation(task: FewShotTask, scene: Scene) -> FewShotTask:
    """Return the task with every twentieth of the other labelled pixels to choose among fits with."""
    labels = scene.labels.ravel()
    others = np.setdiff1d(np.flatnonzero(np.isin(labels, task.classes)), task.train_pixels)[::20]
    return dataclasses.replace(task, validation_pixels=others, validation_labels=labels[others])


@pytest.fixture(scope="module")
def make(request: pytest.FixtureRequest) -> Callable[..., Method]:
    """Return `make(name, variant)`, a method made small; open_clip gets to know the tiny CLIP where it is asked for."""

    def small(name: str, variant: str = "default") -> Method:
        if TINY_CLIP in FAST.get(name, {}).values():
            request.getfixturevalue("tiny_clip")
        return make_method(name, variant, FAST.get(name))

    return small


def fitted(method: Method, task: FewShotTask, scene: Scene) -> Run:
    """Return the run of a method on a task: scores for every fifth pixel, which are some of every row and column."""
    if method.oracle:
        method.truth = scene.labels.ravel().astype(int)
    with TemporaryDirectory() as folder:
        if isinstance(method, Outside):
            method.answers = some_answers(task, Path(folder) / "answers.csv")
        method.train(task)
    pixels = np.arange(0, task.scene.n_pixels, 5)
    return Run(method, task, pixels, method.classify(pixels))


def some_answers(task: FewShotTask, path: Path) -> Path:
    """Write what a program outside of the suite could have answered."""
    scores = np.random.default_rng(0).random((task.scene.n_pixels, len(task.classes)))
    lines = [",".join(["pixel", *map(str, task.classes)])]
    lines += [",".join(map(str, [pixel, *row])) for pixel, row in enumerate(scores.tolist())]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def little(
    make: Callable[..., Method], task_of: Callable[..., FewShotTask], tiny_scene: Callable[..., Scene]
) -> Callable[[str, str], Run]:
    """Return the run of a case on one shot of classes 2 and 3 with one auxiliary channel, made once for all tests."""
    runs: dict[tuple[str, str], Run] = {}
    scene = tiny_scene(1)

    def find(name: str, variant: str) -> Run:
        if (name, variant) not in runs:
            method = make(name, variant)
            runs[name, variant] = fitted(method, task_of(method, scene, shots=1, classes=(2, 3), seed=1), scene)
        return runs[name, variant]

    return find


@every_case
def test_copes_with_one_shot_of_some_classes_and_one_auxiliary_channel(name, variant, little):
    run = little(name, variant)
    assert run.scores.shape == (len(run.pixels), 2)
    assert np.isfinite(run.scores).all()


@every_case
def test_scores_do_not_depend_on_order_or_batches(name, variant, little):
    method, _, pixels, scores = little(name, variant)
    order = np.random.default_rng(0).permutation(len(pixels))
    found = np.concatenate([method.classify(pixels[part]) for part in np.split(order, [1, 8, 60])])
    np.testing.assert_array_equal(found.argmax(axis=1), scores[order].argmax(axis=1))
    np.testing.assert_allclose(found, scores[order], rtol=1e-4, atol=1e-4)


@every_case
def test_counts_its_parameters(name, variant, little):
    count = little(name, variant).method.n_parameters
    assert count is None or count > 0


@every_case
def test_declares_what_it_looks_at(name, variant):
    method = make_method(name, variant)
    reach = method.reach(11)
    assert reach == SCENE_WIDE or (isinstance(reach, int) and reach >= 0)
    assert set(method.axes) <= {"window", "mask_ratio"}
    json.dumps(method.settings())


@every_method
def test_repeats_exactly_whatever_the_test_labels_and_leaves_global_generators_alone(name, make, task_of, tiny_scene):
    scene = tiny_scene()
    first = make(name)
    task = task_of(first, scene)
    expected = fitted(first, task, scene).scores

    def again(scene: Scene) -> np.ndarray:
        return fitted(make(name), dataclasses.replace(task, scene=scene.imagery), scene).scores

    twin = scene if first.oracle else with_other_test_labels(scene, task)
    before = global_generators()  # after the first fit: libraries may draw when they are imported
    found = again(twin)
    assert global_generators() == before, "draw from task.rng(...) or task.torch_generator(...) instead"
    if not np.array_equal(found, expected):
        np.testing.assert_array_equal(again(tiny_scene()), expected, "another result of the same seed and labels")
        pytest.fail("the same seed gives another result when test labels are others: a test label is looked at")


def with_other_test_labels(scene: Scene, task: FewShotTask) -> Scene:
    """Return the scene with all labels shuffled that do not train."""
    labels = scene.labels.ravel().copy()
    others = np.setdiff1d(np.flatnonzero(labels), task.train_pixels)
    labels[others] = np.random.default_rng(1).permutation(labels[others])
    return dataclasses.replace(scene, labels=labels.reshape(scene.shape))


def global_generators() -> list[str]:
    """Return the states of all generators that do not belong to a run."""
    return [repr(random.getstate()), repr(np.random.get_state()), repr(torch.get_rng_state().tolist())]


def test_no_raster_of_labels_can_be_reached_from_a_task(tiny_scene, draw_task):
    task = draw_task(tiny_scene())
    whole = [array for array in _arrays(task) if array.dtype.kind in "iub" and array.size >= task.scene.n_pixels]
    assert not whole, "a task leads to an integer array that covers the scene: test labels could be read from it"


def _arrays(found: object) -> Iterator[np.ndarray]:
    if isinstance(found, np.ndarray):
        yield found
    elif isinstance(found, dict):
        yield from (array for value in found.values() for array in _arrays(value))
    elif isinstance(found, (tuple, list)):
        yield from (array for value in found for array in _arrays(value))
    elif dataclasses.is_dataclass(found):
        yield from _arrays(vars(found))


@every_method
def test_says_what_it_is(name):
    method = find_method(name)
    assert method.title
    assert method.__doc__
    assert method.reference or method.control, "cite where the method comes from"


def test_titles_are_unique():
    titles = [find_method(name).title for name in method_names()]
    assert len(set(titles)) == len(titles)


def test_only_true_labels_is_an_oracle():
    assert [name for name in method_names() if find_method(name).oracle] == ["true_labels"]


@every_method
def test_unknown_options_are_refused_with_a_hint(name):
    known = [field.name for field in dataclasses.fields(find_method(name).Options)]
    with pytest.raises(UserError, match="unknown key"):
        make_method(name, options={"no_such_option": 1})
    for option in known:
        with pytest.raises(UserError, match="did you mean"):
            make_method(name, options={f"{option}x": 1})


def test_importing_a_method_loads_nothing_heavy():
    modules = [module_name(name) for name in method_names()]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "print(*({'torch', 'sklearn', 'skimage', 'open_clip'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded, f"import {', '.join(loaded)} inside the hooks, not at the top of a method's file"

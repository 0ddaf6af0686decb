"""What every method must keep, DiffCLIP and each file in `baselines/` alike; a new file needs no new test."""

from __future__ import annotations

import dataclasses
import importlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from diffclip.errors import UserError
from diffclip.protocol.catalogue import find_method, make_method, method_names, module_name
from diffclip.protocol.method import SCENE_WIDE, Method
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene

WINDOW, MASK_RATIO = 5, 0.5
# Options that make a method small enough for a test; a method that is quick by itself needs none.
FAST: dict[str, dict[str, Any]] = {
    "diffclip": {
        **dict.fromkeys(("stem", "width", "decoder_width", "embedding", "text_width"), 16),
        **dict.fromkeys(("depth", "decoder_depth", "text_depth"), 1),
        **dict.fromkeys(("heads", "decoder_heads", "text_heads", "pretrain_steps", "pretrain_epochs", "epochs"), 2),
        **dict.fromkeys(("batch", "pretrain_batch"), 8),
        "clip_model": "tiny-test-clip",
        "clip_weights": "random",
        "text_tower": "scratch",  # CLIP's weights are not at hand everywhere
    },
    "two_branch_cnn": {"width": 0.05, "branch_steps": 5, "fusion_steps": 5},
}
CASES = [(name, variant) for name in method_names() for variant in ("default", *find_method(name).variants)]
every_case = pytest.mark.parametrize(("name", "variant"), CASES, ids=[f"{name}-{variant}" for name, variant in CASES])
every_method = pytest.mark.parametrize("name", method_names())


class Run(NamedTuple):
    """A fitted method, its task and its scores for every pixel of the scene."""

    method: Method
    task: FewShotTask
    scores: np.ndarray


def with_validation(task: FewShotTask, scene: Scene) -> FewShotTask:
    """Return the task with every twentieth of the other labelled pixels to choose among fits with."""
    labels = scene.labels.ravel()
    others = np.setdiff1d(np.flatnonzero(np.isin(labels, task.classes)), task.train_pixels)[::20]
    return dataclasses.replace(task, validation_pixels=others, validation_labels=labels[others])


@pytest.fixture(scope="module")
def fit(
    draw_task: Callable[..., FewShotTask], tiny_clip: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Run]:
    """Return `fit(name, variant, scene, **split)`, which makes the checkpoint too where a method wants one."""
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

    def run(name: str, variant: str, scene: Scene, **split: Any) -> Run:
        method = make_method(name, variant, FAST.get(name))
        window = WINDOW if "window" in method.axes else None
        mask_ratio = MASK_RATIO if "mask_ratio" in method.axes else None
        pretrained = checkpoint(method, scene, window, mask_ratio)
        task = draw_task(scene, **split, window=window, mask_ratio=mask_ratio, pretrained=pretrained)
        if method.uses_validation:
            task = with_validation(task, scene)
        if method.oracle:
            method.truth = scene.labels.ravel().astype(int)
        method.train(task)
        return Run(method, task, method.classify(np.arange(task.scene.n_pixels)))

    return run


@pytest.fixture(scope="module")
def fitted(fit: Callable[..., Run], tiny_scene: Callable[..., Scene]) -> Callable[[str, str], Run]:
    """Return the run of a case on the tiny scene, made once for all tests."""
    runs: dict[tuple[str, str], Run] = {}

    def find(name: str, variant: str) -> Run:
        if (name, variant) not in runs:
            runs[name, variant] = fit(name, variant, tiny_scene())
        return runs[name, variant]

    return find


@every_case
def test_same_seed_repeats_exactly(name, variant, fit, fitted, tiny_scene):
    again = fit(name, variant, tiny_scene())
    np.testing.assert_array_equal(again.scores, fitted(name, variant).scores)


@every_case
def test_scores_do_not_depend_on_order_or_batches(name, variant, fitted):
    method, task, scores = fitted(name, variant)
    order = np.random.default_rng(0).permutation(task.scene.n_pixels)[:300]
    parts = np.split(order, [1, 8, 150])
    found = np.concatenate([method.classify(part) for part in parts])
    np.testing.assert_array_equal(found.argmax(axis=1), scores[order].argmax(axis=1))
    np.testing.assert_allclose(found, scores[order], rtol=1e-4, atol=1e-4)


@every_case
def test_sees_no_test_label(name, variant, fit, fitted, tiny_scene):
    run, scene = fitted(name, variant), tiny_scene()
    if run.method.oracle:
        return
    labels = scene.labels.ravel().copy()
    others = np.setdiff1d(np.flatnonzero(labels), run.task.train_pixels)
    labels[others] = np.random.default_rng(1).permutation(labels[others])
    twin = dataclasses.replace(scene, labels=labels.reshape(scene.shape))
    task = dataclasses.replace(run.task, scene=twin.imagery)
    method = make_method(name, variant, FAST.get(name))
    method.train(task)
    np.testing.assert_array_equal(method.classify(np.arange(task.scene.n_pixels)), run.scores)


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


@every_case
@pytest.mark.parametrize(
    ("channels", "split"),
    [(2, {"shots": 1}), (1, {}), (2, {"classes": (1, 3)}), (1, {"shots": 1, "classes": (2, 3), "seed": 1})],
    ids=["one shot", "one auxiliary channel", "two classes that are not 1 and 2", "all three"],
)
def test_copes_with_little(name, variant, channels, split, fit, tiny_scene):
    run = fit(name, variant, tiny_scene(channels), **split)
    assert run.scores.shape == (run.task.scene.n_pixels, len(run.task.classes))
    assert np.isfinite(run.scores).all()


@every_case
def test_leaves_global_generators_alone(name, variant, fit, tiny_scene):
    def states() -> list[str]:
        legacy = np.random.get_state()
        return [repr(random.getstate()), repr(legacy), repr(torch.get_rng_state().tolist())]

    before = states()
    fit(name, variant, tiny_scene())
    assert states() == before, "draw from task.rng(...) or task.torch_generator(...) instead"


@every_case
def test_declares_what_it_looks_at(name, variant):
    method = make_method(name, variant)
    reach = method.reach(11)
    assert reach == SCENE_WIDE or (isinstance(reach, int) and reach >= 0)
    assert set(method.axes) <= {"window", "mask_ratio"}
    json.dumps(method.settings())


@every_case
def test_counts_its_parameters(name, variant, fitted):
    count = fitted(name, variant).method.n_parameters
    assert count is None or count > 0


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

"""The two-branch network: its size, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from baselines._networks.two_branch import TwoBranch
from diffclip.errors import UserError
from diffclip.protocol.catalogue import make_method

QUICK = {"width": 0.1, "branch_steps": 60, "fusion_steps": 60, "branch_learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("bands", "channels", "classes", "expected"),
    [(144, 1, 15, 5_613_327), (63, 1, 6, 4_743_302), (64, 2, 11, 4_763_467)],
    ids=["Houston 2013", "Trento", "MUUFL"],
)
def test_has_as_many_weights_as_the_papers_network(bands, channels, classes, expected):
    network = TwoBranch(bands, channels, classes, window=11)
    assert sum(weight.numel() for weight in network.parameters()) == expected


def test_learns_classes_that_are_easy_to_tell(tiny_scene, draw_task):
    task = draw_task(tiny_scene(), shots=10, window=5)
    method = make_method("two_branch_cnn", options=QUICK)
    method.train(task)
    assert (method.classify(task.train_pixels).argmax(axis=1) == task.train_targets).mean() >= 0.95


def test_another_seed_gives_other_weights(tiny_scene, draw_task):
    scene, scores = tiny_scene(), []
    for seed in (0, 1):
        method = make_method("two_branch_cnn", options={"width": 0.05, "branch_steps": 1, "fusion_steps": 1})
        method.train(draw_task(scene, seed=seed, window=5))
        scores.append(method.classify(np.arange(20)))
    assert not np.allclose(*scores)


def test_seeds_trained_together_classify_as_each_alone(tiny_scene, draw_task):
    options = {"width": 0.05, "branch_steps": 5, "fusion_steps": 5}
    tasks = [draw_task(tiny_scene(), seed=seed, window=5) for seed in (0, 1)]
    methods = [make_method("two_branch_cnn", options=options) for _ in tasks]
    assert methods[0].joins_seeds
    type(methods[0]).train_many(methods, tasks)
    for method, task in zip(methods, tasks, strict=True):
        alone = make_method("two_branch_cnn", options=options)
        alone.train(task)
        np.testing.assert_allclose(method.classify(np.arange(50)), alone.classify(np.arange(50)), rtol=0.01, atol=0.01)


def test_too_few_bands_are_refused(tiny_scene, draw_task):
    scene = tiny_scene()
    object.__setattr__(scene, "hsi", scene.hsi[:, :, :13])
    with pytest.raises(UserError, match="found 13 bands, expected 14 or more"):
        make_method("two_branch_cnn").train(draw_task(scene, window=5))


@pytest.mark.parametrize("wrong", [{"batch": 1}, {"width": 0.0}, {"fusion_steps": -1}])
def test_options_that_cannot_train_are_refused(wrong):
    with pytest.raises(UserError, match="two_branch_cnn"):
        make_method("two_branch_cnn", options=wrong)

"""The contract: public calls are sealed, and what hooks give back is checked."""

from __future__ import annotations

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.method import SCENE_WIDE, Method
from diffclip.protocol.task import FewShotTask


class Fixed(Method):
    """Gives back the scores it is made with."""

    title = "Fixed"

    def fit(self, task):
        self.seen = task

    def predict(self, pixels):
        return self.options(pixels)


@pytest.fixture(scope="module")
def task(tiny_scene) -> FewShotTask:
    scene = tiny_scene()
    train = np.array([0, 1, 10, 11, 20, 21])
    return FewShotTask(
        scene=scene.imagery,
        train_pixels=train,
        train_labels=np.array([1, 1, 3, 3, 1, 3], dtype=np.int16),
        classes=np.array([1, 3], dtype=np.int16),
        class_names=("asphalt", "roof"),
        class_descriptions=(),
        shots=3,
        seed=0,
    )


def classified(task: FewShotTask, scores) -> np.ndarray:
    method = Fixed(scores)
    method.train(task)
    assert method.seen is task is method.task
    return method.classify(np.arange(5))


@pytest.mark.parametrize("sealed", ["train", "train_many", "classify"])
def test_public_calls_cannot_be_overridden(sealed):
    with pytest.raises(TypeError, match=rf"Cheat\.{sealed} is sealed: write fit, fit_many and predict instead"):
        type("Cheat", (Method,), {sealed: lambda self, *_: None})


def test_a_method_without_its_hooks_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Method,), {"fit": lambda self, task: None})()


def test_scores_come_back_as_float32(task):
    scores = classified(task, lambda pixels: [[0, 1]] * len(pixels))
    assert scores.dtype == np.float32
    assert scores.shape == (5, 2)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (4, 2), (2, 5)])
def test_scores_of_another_shape_are_refused(task, shape):
    with pytest.raises(ValueError, match=r"Fixed\.predict: found scores of shape .*, expected \(5, 2\)"):
        classified(task, lambda pixels: np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(task, value):
    scores = np.zeros((5, 2))
    scores[3, 1] = value
    with pytest.raises(ValueError, match=r"Fixed\.predict: found 1 scores that are not finite"):
        classified(task, lambda pixels: scores)


def test_targets_count_from_zero_in_the_order_of_the_classes(task):
    assert task.train_targets.tolist() == [0, 0, 1, 1, 0, 1]


def test_an_axis_that_was_not_declared_cannot_be_used(task):
    with pytest.raises(UserError, match="does not declare the axis 'window'"):
        _ = task.window
    with pytest.raises(UserError, match="does not declare the axis 'mask_ratio'"):
        _ = task.mask_ratio


def test_reach_is_half_a_window_for_those_who_look_through_one():
    looking = type("Looking", (Fixed,), {"axes": frozenset({"window"})})
    assert looking().reach(11) == 5
    assert Fixed().reach(11) == 0
    assert looking().reach(None) == 0


def test_windows_reach_their_own_way_where_features_come_from_the_whole_scene():
    whole = type("Whole", (Fixed,), {"reach": lambda self, window: SCENE_WIDE})
    assert whole().window_reach(11) == 0
    both = type("Both", (whole,), {"window_reach": lambda self, window: window // 2})
    assert (both().reach(11), both().window_reach(11)) == (SCENE_WIDE, 5)
    looking = type("Looking", (Fixed,), {"axes": frozenset({"window"})})
    assert looking().window_reach(11) == 5

"""Metrics are what scikit-learn says they are, from the confusion matrix alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as known

from diffclip.protocol.metrics import confusion_matrix, metrics_of


def drawn(seed: int, classes: np.ndarray, right: float) -> tuple[np.ndarray, np.ndarray]:
    """Truth with every class in it, and predictions of which about a share is right."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(len(classes)))
    truth = np.concatenate([classes, generator.choice(classes, 400, p=shares)])
    guess = generator.choice(classes, len(truth))
    return truth, np.where(generator.random(len(truth)) < right, truth, guess)


@pytest.mark.parametrize("right", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("classes", [(1, 2), (1, 2, 3, 4, 5), (2, 3, 7, 11)])
def test_metrics_agree_with_scikit_learn(classes, right):
    classes = np.array(classes, dtype=np.int16)
    truth, predicted = drawn(len(classes), classes, right)
    confusion = confusion_matrix(truth, predicted, classes)
    assert (confusion == known.confusion_matrix(truth, predicted, labels=classes)).all()
    names = tuple(f"class {k}" for k in classes)
    found = metrics_of(confusion, names)
    recalls = known.recall_score(truth, predicted, labels=classes, average=None, zero_division=0)
    assert found.oa == pytest.approx(100 * known.accuracy_score(truth, predicted))
    assert found.aa == pytest.approx(100 * recalls.mean())
    assert found.kappa == pytest.approx(100 * known.cohen_kappa_score(truth, predicted))
    assert found.macro_f1 == pytest.approx(
        100 * known.f1_score(truth, predicted, labels=classes, average="macro", zero_division=0)
    )
    assert found.per_class == pytest.approx(dict(zip(names, 100 * recalls, strict=True)))


def test_truth_goes_by_row_and_prediction_by_column():
    found = confusion_matrix(np.array([1, 1, 2]), np.array([2, 2, 2]), np.array([1, 2]))
    assert found.tolist() == [[0, 2], [0, 1]]


def test_all_right_is_a_hundred_everywhere():
    found = metrics_of(np.diag([3, 50, 7]), ("a", "b", "c"))
    assert (found.oa, found.aa, found.kappa, found.macro_f1) == (100, 100, 100, 100)


def test_all_wrong_is_zero_and_kappa_below():
    found = metrics_of(np.array([[0, 5], [5, 0]]), ("a", "b"))
    assert (found.oa, found.aa, found.macro_f1, found.kappa) == (0, 0, 0, -100)


def test_one_class_only_counts_as_full_agreement():
    found = metrics_of(np.array([[9]]), ("a",))
    assert (found.oa, found.kappa) == (100, 100)


def test_always_the_same_class_has_no_kappa_and_its_share_as_accuracy():
    found = metrics_of(np.array([[90, 0], [10, 0]]), ("a", "b"))
    assert (found.oa, found.aa, found.kappa) == (90, 50, 0)
    assert found.per_class == {"a": 100, "b": 0}


def test_as_many_names_as_classes_are_asked_for():
    with pytest.raises(ValueError, match="zip"):
        metrics_of(np.eye(3, dtype=int), ("a", "b"))

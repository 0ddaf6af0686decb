"""Accuracy from a confusion matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int64

from diffclip.protocol.records import Metrics


def confusion_matrix(
    truth: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], classes: Int[np.ndarray, " K"]
) -> Int64[np.ndarray, "K K"]:
    """Count predictions: truth by row, prediction by column, both in the order of `classes` (ascending)."""
    rows, columns = np.searchsorted(classes, truth), np.searchsorted(classes, predicted)
    k = len(classes)
    return np.bincount(rows * k + columns, minlength=k * k).reshape(k, k)


def metrics_of(confusion: Int64[np.ndarray, "K K"], class_names: tuple[str, ...]) -> Metrics:
    """Return overall, average and per-class accuracy, Cohen's kappa and macro F1, in percent.

    Every class has at least one true pixel (splits see to it). Where chance alone would agree always, kappa is
    0 / 0 and given as 100, as the agreement is.
    """
    total = confusion.sum()
    right = np.diag(confusion)
    truth, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    recall = right / truth
    observed = right.sum() / total
    chance = float(truth @ predicted) / float(total) ** 2
    kappa = 1.0 if chance == 1.0 else (observed - chance) / (1.0 - chance)
    f1 = 2 * right / (truth + predicted)
    return Metrics(
        oa=100 * float(observed),
        aa=100 * float(recall.mean()),
        kappa=100 * float(kappa),
        macro_f1=100 * float(f1.mean()),
        per_class={name: 100 * float(value) for name, value in zip(class_names, recall, strict=True)},
    )

"""Logistic regression on hand-made features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from baselines import _features
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask

# The first is the one to take without evidence: scikit-learn's default.
_SETTINGS = [{"C": C} for C in (1.0, 10.0, 0.1, 0.01)]


class LogisticRegression(_features.OnFeatures):
    """Multinomial logistic regression (Böhning 1992; for hyperspectral scenes Li et al. 2010) with an L2 penalty.

    The inverse weight of the penalty, C (0.01 to 10), is chosen by repeated cross-validation within the training
    shots; at one shot, and where none is clearly ahead, it is 1. Scores are logits.
    """

    title = "Logistic regression"
    reference = "Böhning 1992, doi:10.1007/BF00048682; Li, Bioucas-Dias & Plaza 2010, doi:10.1109/TGRS.2010.2060550"

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Fit the weights."""
        from sklearn.linear_model import LogisticRegression as Estimator

        estimator = Estimator(max_iter=2000)
        self.regression = _features.fit_chosen(estimator, _SETTINGS, features, targets, task)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return logits."""
        return _features.both_columns(self.regression.decision_function(features))

"""k nearest neighbours in hand-made features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from baselines import _features
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask


class KNN(_features.OnFeatures):
    """Cover & Hart 1967: the nearest labelled pixels vote, each by the inverse of its Euclidean distance (Dudani 1976).

    k is 1, 3, 5 or 7, no more than the shots, chosen by repeated cross-validation within them; at one shot, and where
    none is clearly ahead, it is 1. Scores are the logarithm of the shares of votes; with k = 1 they say which class is
    nearest and not how near.
    """

    title = "k-NN"
    reference = "Cover & Hart 1967, doi:10.1109/TIT.1967.1053964; Dudani 1976, doi:10.1109/TSMC.1976.5408784"

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Choose k and keep the labelled pixels."""
        from sklearn.neighbors import KNeighborsClassifier

        settings = [{"n_neighbors": k} for k in (1, 3, 5, 7) if k <= task.shots]
        classifier = KNeighborsClassifier(weights="distance")
        self.neighbours = _features.fit_chosen(classifier, settings, features, targets, task)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return the logarithm of the shares of votes."""
        return _features.log_shares(self.neighbours.predict_proba(features))

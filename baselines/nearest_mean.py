"""Nearest class mean of hand-made features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from baselines._features import OnFeatures
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask


class NearestMean(OnFeatures):
    """Nearest class mean, by default of the pixel's standardised channels: the simplest baseline worth a row."""

    title = "Nearest mean"
    reference = "Duda, Hart & Stork, Pattern Classification, 2nd ed., 2001, minimum-distance classifier"

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Average the features of every class."""
        self.means = np.stack([features[targets == k].mean(axis=0) for k in range(len(task.classes))])  # (K, D)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return minus the Euclidean distance to every class mean."""
        return -np.stack([np.linalg.norm(features - mean, axis=1) for mean in self.means], axis=1)

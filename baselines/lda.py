"""Linear discriminant analysis with shrinkage on hand-made features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from baselines._features import OnFeatures
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask


class LDA(OnFeatures):
    """Gaussian classes of one covariance, shrunk after Ledoit & Wolf 2004 (hyperspectral: Bandos et al. 2009).

    The covariance is that of all training pixels around their class means together, not a mean over covariances of
    single classes as scikit-learn's classifier takes: of two shots no class has a covariance worth the name. At one
    shot there is none at all; it is then the identity, which leaves the nearest class mean. Classes count the same.

    Scores are the classes' log-likelihoods, up to a sum that they share.
    """

    title = "LDA"
    reference = "Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4; Bandos et al. 2009, 10.1109/TGRS.2008.2005729"

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Estimate means and covariance; the scores are linear in the features."""
        from sklearn.covariance import ledoit_wolf

        n, classes = len(features), len(task.classes)
        rows = features.astype(np.float64)
        means = np.stack([rows[targets == k].mean(axis=0) for k in range(classes)])  # (K, D)
        covariance = np.eye(rows.shape[1])
        if n > classes:
            # The class means have taken K degrees of freedom.
            covariance = ledoit_wolf(rows - means[targets], assume_centered=True)[0] * n / (n - classes)
        self.weights = np.linalg.solve(covariance, means.T)  # (D, K)
        self.biases = -0.5 * np.einsum("kd,dk->k", means, self.weights)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return log-likelihoods."""
        return features @ self.weights + self.biases

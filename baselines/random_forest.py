"""Random forest on hand-made features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from baselines import _features
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask


class RandomForest(_features.OnFeatures):
    """Breiman 2001; for hyperspectral scenes Ham et al. 2005. Fully grown trees on bootstrap samples of the shots.

    Nothing is chosen: 500 trees, and at every split the square root of the number of features, as the author advises.
    Scores are the logarithm of the trees' mean class shares.
    """

    title = "Random forest"
    reference = "Breiman 2001, doi:10.1023/A:1010933404324; Ham et al. 2005, doi:10.1109/TGRS.2004.842481"

    @dataclass(frozen=True)
    class Options(_features.OfFeatures.Options):
        """Options besides the features.

        Attributes:
            trees: how many.
        """

        trees: int = 500

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.trees < 1:
                raise ValueError(f"trees: found {self.trees}, expected 1 or more")

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Grow the trees."""
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(self.options.trees, random_state=int(task.rng("trees").integers(2**31)))
        self.forest = forest.fit(features, targets)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return the logarithm of class shares."""
        return _features.log_shares(self.forest.predict_proba(features))

"""Control: chance."""

from __future__ import annotations

import numpy as np

from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex


class RandomLabels(Method):
    """Guesses every pixel by itself: what a table shows for it is chance (100 / K per cent of overall accuracy)."""

    title = "Random labels"
    control = True

    def fit(self, task: FewShotTask) -> None:
        """Draw for the whole scene, so that a guess depends on its pixel and the seed and not on who asks when."""
        shape = task.scene.n_pixels, len(task.classes)
        self.scores = task.rng("guesses").random(shape, dtype=np.float32)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return uniform random scores."""
        return self.scores[pixels]

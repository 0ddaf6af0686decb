"""Control: the oracle."""

from __future__ import annotations

import numpy as np

from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex


class TrueLabels(Method):
    """Knows every label: whatever is computed from predictions must come out perfect (100 %) for it.

    Attributes:
        truth: (H * W,) label of every pixel, 0 = unlabelled; set by the suite before `train`, for oracles only.
    """

    title = "True labels"
    oracle = True
    control = True

    truth: np.ndarray

    def fit(self, task: FewShotTask) -> None:
        """Learn nothing."""

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return 1 for a pixel's own class and 0 for the others."""
        return (self.truth[pixels, None] == self.task.classes).astype(np.float32)

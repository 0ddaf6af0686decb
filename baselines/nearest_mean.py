"""Nearest class mean of single spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex


class NearestMean(Method):
    """Nearest class mean of the centre pixel's standardised channels: the simplest baseline worth a row."""

    title = "Nearest mean"
    reference = "Duda, Hart & Stork, Pattern Classification, 2nd ed., 2001, minimum-distance classifier"

    @dataclass(frozen=True)
    class Options:
        """Attributes: use_aux: also look at the auxiliary channels."""

        use_aux: bool = True

    def fit(self, task: FewShotTask) -> None:
        """Average the training spectra of every class."""
        spectra = task.scene.spectra(task.train_pixels, aux=self.options.use_aux)  # (n, D)
        self.means = np.stack([spectra[task.train_labels == k].mean(axis=0) for k in task.classes])  # (K, D)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return minus the Euclidean distance to every class mean."""
        spectra = self.task.scene.spectra(pixels, aux=self.options.use_aux)
        distances = [np.linalg.norm(spectra - mean, axis=1) for mean in self.means]
        return -np.stack(distances, axis=1)

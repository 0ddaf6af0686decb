"""Logistic regression on CLIP's image features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

# Decades of 1 / regularisation as in CoOp's script; ties go to the first, the nearest to the middle.
_DECADES = (1.0, 1e-2, 1e2, 1e-4, 1e4, 1e-6, 1e6)


class ClipLinearProbe(ClipMethod):
    """L2-regularised logistic regression on frozen features (Radford et al. 2021, section 3.3 and appendix A).

    Features are those of the projected image embedding, not normalised, as in CoOp's script for this baseline; those of
    the two views stand beside one another. Where every class has two shots or more, the regularisation is chosen by
    stratified folds inside the training shots (log-loss; decades as in CoOp's script, then the half decades around the
    best), else it is CLIP's published 0.316. CoOp's script chooses on a validation set; no such labels are used here.
    """

    title = "CLIP linear probe"
    reference = "Radford et al. 2021, arXiv 2103.00020; github.com/KaiyangZhou/CoOp, lpclip"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"false-colour": {"views": ["hsi"]}}

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of the probe, besides those of every rival around CLIP; prompts are not used.

        Attributes:
            regularisation: C, one over the strength, where it is not chosen by cross-validation.
            cross_validate: choose C inside the training shots where every class has two or more.
            iterations: most iterations of the solver (L-BFGS).
        """

        regularisation: float = 0.316
        cross_validate: bool = True
        iterations: int = 1000

    def fit(self, task: FewShotTask) -> None:
        """Choose the regularisation, then fit on all training pixels."""
        from sklearn.linear_model import LogisticRegression

        self.open(task)
        features, targets = self._features(task.train_pixels), task.train_targets
        self.probe = LogisticRegression(C=self.options.regularisation, max_iter=self.options.iterations, random_state=0)
        folds = min(5, np.bincount(targets).min())
        if self.options.cross_validate and folds >= 2:
            self._choose(features, targets, folds)
        self.probe.fit(features, targets)

    def _choose(self, features: np.ndarray, targets: np.ndarray, folds: int) -> None:
        """Set the regularisation that predicts best over folds of the training shots."""
        from sklearn.model_selection import GridSearchCV, StratifiedKFold

        state = int(self.task.rng("folds").integers(2**31))
        splits = StratifiedKFold(folds, shuffle=True, random_state=state)

        def best(values: list[float]) -> float:
            search = GridSearchCV(self.probe, {"C": values}, cv=splits, scoring="neg_log_loss", refit=False)
            return float(search.fit(features, targets).best_params_["C"])

        decade = best(list(_DECADES))
        self.probe.set_params(C=best([decade, decade * 10**-0.5, decade * 10**0.5, decade / 10, decade * 10]))

    def _features(self, pixels: PixelIndex) -> np.ndarray:
        return self.features(pixels)[0].flatten(1).numpy().astype(np.float64)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return log-probabilities."""
        return self.probe.predict_log_proba(self._features(pixels))

    @property
    def n_parameters(self) -> int:
        """Weights and intercepts."""
        probe: LogisticRegression = self.probe
        return int(probe.coef_.size + probe.intercept_.size)

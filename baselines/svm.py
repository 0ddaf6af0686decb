"""Support vector machine on hand-made features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from baselines import _features
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask

# The first is the one to take without evidence: a wide margin has nothing to gain from so few, mostly clean labels.
_SETTINGS = [{"C": C, "gamma": gamma} for C in (100.0, 10.0, 1.0, 1000.0) for gamma in ("scale", 0.1, 0.01, 0.001)]


class SVM(_features.OnFeatures):
    """Support vector machine with a Gaussian kernel, the classical floor under every network.

    Melgani & Bruzzone 2004 for single spectra; on extended morphological profiles Fauvel et al. 2008. C (1 to 1000) and
    gamma (0.001 to 0.1, or 1 / (number of features * variance)) are chosen by repeated cross-validation within the
    training shots; at one shot, and where no pair is clearly ahead, they are 100 and 1 / (number * variance).

    Scores are scikit-learn's one-versus-rest decision values, so confidences made from them are only an ordering.
    """

    title = "SVM"
    reference = "Melgani & Bruzzone 2004, doi:10.1109/TGRS.2004.831865; Fauvel et al. 2008, 10.1109/TGRS.2008.922034"

    @dataclass(frozen=True)
    class Options(_features.OfFeatures.Options):
        """Options besides the features.

        Attributes:
            cross_validate: choose C and gamma within the shots; False takes 100 and 1 / (number * variance).
        """

        cross_validate: bool = True

    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Fit the machine."""
        from sklearn.svm import SVC

        # Without a random_state scikit-learn draws from NumPy's global generator, though nothing here is random.
        machine = SVC(decision_function_shape="ovr", random_state=0)
        settings = _SETTINGS if self.options.cross_validate else _SETTINGS[:1]
        self.machine = _features.fit_chosen(machine, settings, features, targets, task)

    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return decision values."""
        return _features.both_columns(self.machine.decision_function(features))

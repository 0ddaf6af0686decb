"""What all classical rivals share: the hand-made features they are trained on, and how settings are chosen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32, Int

from diffclip.protocol.method import SCENE_WIDE, Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.features import morphological_profiles, window_means
from diffclip.scene.scene import Imagery, PixelIndex

# Cross-validation within the shots: at most so many folds, shuffled anew until there were so many fits of a setting.
_FOLDS, _FITS = 5, 10


class OfFeatures(Method):
    """A method that looks at hand-made features: which ones, and how far they reach.

    Channels are standardised over the whole scene before window means are taken, profiles after they are made; no label
    is involved. The auxiliary channels come with their windows and profiles as the bands do.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "spectra": {"features": "spectra", "use_aux": False},
        "spectra+aux": {"features": "spectra"},
        "means": {"features": "means"},
        "emp": {"features": "emp"},
        "emp+means": {"features": "emp+means"},
    }

    @dataclass(frozen=True)
    class Options:
        """Which features.

        Attributes:
            features: single spectra; means over windows; extended morphological profiles (Benediktsson et al. 2005);
                or profiles and means side by side.
            use_aux: also look at the auxiliary channels.
            scales: odd sides of the windows in pixels, for means.
            components: principal components that are profiled.
            radii: radii of the profiles' disks in pixels.
        """

        features: Literal["spectra", "means", "emp", "emp+means"] = "spectra"
        use_aux: bool = True
        scales: tuple[int, ...] = (1, 5, 11)
        components: int = 5
        radii: tuple[int, ...] = (1, 2, 4, 6)

        def __post_init__(self) -> None:
            if not self.scales or any(side < 1 or side % 2 == 0 for side in self.scales):
                raise ValueError(f"scales: found {list(self.scales)}, expected one or more odd numbers from 1 on")
            if self.components < 1:
                raise ValueError(f"components: found {self.components}, expected 1 or more")
            if any(radius < 1 for radius in self.radii):
                raise ValueError(f"radii: found {list(self.radii)}, expected numbers from 1 on")

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Return 0 for spectra, half the largest window for means; reconstruction looks at the whole scene."""
        return SCENE_WIDE if self.options.features in ("emp", "emp+means") else self.window_reach(window)

    def window_reach(self, window: int | None) -> int:
        """Return half the largest window of means, also where they stand beside features of the whole scene."""
        return max(self.options.scales) // 2 if "means" in self.options.features else 0


class OnFeatures(OfFeatures):
    """A classifier trained on the features of the labelled pixels. An author writes `learn` and `scores`."""

    @abstractmethod
    def learn(self, features: Float32[np.ndarray, "n D"], targets: Int[np.ndarray, " n"], task: FewShotTask) -> None:
        """Learn from the training pixels' features and classes 0..K-1 (hook)."""

    @abstractmethod
    def scores(self, features: Float32[np.ndarray, "n D"]) -> Scores:
        """Return (n, K) scores (hook)."""

    def fit(self, task: FewShotTask) -> None:
        """Learn from the training pixels' features."""
        self.learn(features_of(task.scene, self.options, task.train_pixels), task.train_targets, task)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the scores of pixels by their features."""
        return self.scores(features_of(self.task.scene, self.options, pixels))


def features_of(
    scene: Imagery, options: OfFeatures.Options, pixels: PixelIndex | None = None
) -> Float32[np.ndarray, "n D"]:
    """Return the features of some pixels, or of all."""
    rows: Any = slice(None) if pixels is None else pixels
    columns = []
    if options.features == "spectra":
        columns.append(scene.spectra(np.arange(scene.n_pixels) if pixels is None else pixels, aux=options.use_aux))
    if options.features in ("emp", "emp+means"):
        profiles = morphological_profiles(
            scene, components=options.components, radii=options.radii, use_aux=options.use_aux
        )
        columns.append(profiles[rows])
    if options.features in ("means", "emp+means"):
        columns.append(window_means(scene, options.scales, use_aux=options.use_aux)[rows])
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def fit_chosen(
    estimator: Any,
    settings: Sequence[Mapping[str, Any]],
    features: Float32[np.ndarray, "n D"],
    targets: Int[np.ndarray, " n"],
    task: FewShotTask,
) -> Any:
    """Return a scikit-learn classifier fitted with the setting that repeated cross-validation within the shots prefers.

    The first setting is the one to take without evidence: it stays at one shot per class, where nothing can be held
    out, and wherever the best one is not ahead by more than the standard error of their difference (the rule of Breiman
    et al. 1984; the error of repeated folds, which share their pixels, after Nadeau & Bengio 2003). With an error
    that takes the folds for independent the noise of so few labels chooses: on the MUUFL crop an SVM then lost up to 4
    points of overall accuracy at 4 shots. (That comparison looked at test accuracy, and made the rivals stronger.)

    Args:
        estimator: a classifier, not fitted.
        settings: parameters to choose from.
        features: of the training pixels.
        targets: their classes.
        task: where the folds' randomness comes from; no other label is ever touched.
    """
    from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold

    folds = min(_FOLDS, int(np.bincount(targets).min()))
    if folds < 2 or len(settings) == 1:
        return estimator.set_params(**settings[0]).fit(features, targets)
    splits = RepeatedStratifiedKFold(
        n_splits=folds, n_repeats=-(-_FITS // folds), random_state=int(task.rng("folds").integers(2**31))
    )
    # Every setting is a grid of its own, so that they stay in their order.
    grids = [{name: [value] for name, value in setting.items()} for setting in settings]
    search = GridSearchCV(estimator, grids, cv=splits, refit=partial(_first_unless_beaten, folds), error_score="raise")
    return search.fit(features, targets).best_estimator_


def _first_unless_beaten(folds: int, results: Mapping[str, Any]) -> int:
    """Return the position of the best setting, or 0 when its lead over the first is within one standard error."""
    fits = [key for key in results if key.startswith("split") and key.endswith("_test_score")]
    accuracy = np.stack([results[key] for key in fits])  # (fits, settings)
    best = int(accuracy.mean(axis=0).argmax())
    lead = accuracy[:, best] - accuracy[:, 0]
    # Held-out pixels per training pixel: 1 / (folds - 1).
    error = lead.std(ddof=1) * np.sqrt(1 / len(fits) + 1 / (folds - 1))
    return best if lead.mean() > error else 0


def both_columns(values: Float[np.ndarray, ...]) -> Scores:
    """Return decision values with a column per class; for two classes scikit-learn gives the second's alone."""
    return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values


def log_shares(shares: Float[np.ndarray, "n K"]) -> Scores:
    """Return the logarithm of shares of votes, which may be 0."""
    return np.log(np.maximum(shares, 1e-6))

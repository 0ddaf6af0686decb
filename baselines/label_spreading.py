"""Label spreading over a graph of hand-made features."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np

from baselines import _features
from diffclip.protocol.method import SCENE_WIDE, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.features import once
from diffclip.scene.scene import PixelIndex


class LabelSpreading(_features.OfFeatures):
    """DiffCLIP's graph option on classical features (Zhou et al. 2004; hyperspectral: Camps-Valls et al. 2007).

    Every pixel of the scene, test pixels included, is joined with those whose features are nearest, and the training
    labels spread along the edges; by default profiles and window means together. Scores are the logarithm of the
    classes' shares. A scene of more than `most` pixels puts a random draw of them on the graph, besides the training
    pixels; any other pixel takes the mean shares of its nearest neighbours there (Delalleau et al. 2005).
    """

    title = "Label spreading"
    reference = "Zhou et al. 2004, NeurIPS 16; Camps-Valls et al. 2007, doi:10.1109/TGRS.2007.895416"
    transductive = True

    @dataclass(frozen=True)
    class Options(_features.OfFeatures.Options):
        """Options besides the features.

        Attributes:
            neighbours: that a pixel is joined with.
            alpha: share that a pixel takes from its neighbours, 0 < alpha < 1.
            most: pixels on the graph.
        """

        features: Literal["spectra", "means", "emp", "emp+means"] = "emp+means"
        neighbours: int = 10
        alpha: float = 0.95
        most: int = 50_000

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.neighbours < 1 or not 0 < self.alpha < 1 or self.most < 2:
                raise ValueError("expected neighbours >= 1, 0 < alpha < 1 and most >= 2")

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Return that the whole scene is looked at: the graph joins pixels from everywhere."""
        return SCENE_WIDE

    def fit(self, task: FewShotTask) -> None:
        """Make the graph and spread the training labels."""
        from diffclip.scene.graph import handed_on, neighbour_graph, on_the_graph, spread_labels

        scene, options = task.scene, self.options
        features = _features.features_of(scene, options)
        rows = on_the_graph(scene.n_pixels, task.train_pixels, options.most, task.rng("graph"))
        if len(rows) == scene.n_pixels:
            # The same for all runs on the scene.
            graph = once(scene, astuple(options), lambda: neighbour_graph(features, options.neighbours))
        else:
            graph = neighbour_graph(features[rows], options.neighbours)
        position = np.searchsorted(rows, task.train_pixels)
        shares = spread_labels(graph, position, task.train_targets, len(task.classes), options.alpha)
        self.shares = handed_on(shares, rows, features, options.neighbours)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the logarithm of the shares."""
        return _features.log_shares(self.shares[pixels])

"""What unlabelled pixels add: labels spread over a graph of the scene, multiplied with the classifier's shares."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, Float32
from scipy.special import log_softmax
from torch import Tensor

from diffclip.model.embedding import ModalityEmbedding
from diffclip.model.encoder import Encoder
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.features import morphological_profiles, standardised
from diffclip.scene.graph import handed_on, neighbour_graph, on_the_graph, spread_labels
from diffclip.training.inference import averaged
from diffclip.training.windows import SceneWindows

# Bisections of the logarithm of a temperature between these bounds.
_HALVINGS, _BOUNDS = 40, (-7.0, 7.0)


def spread_over_scene(
    encoder: Encoder, windows: SceneWindows, task: FewShotTask, options: Any
) -> Float[np.ndarray, "pixels K"]:
    """Return the classes' shares of every pixel of the scene, from the task's labels and a graph of similar pixels.

    Pixels are similar in what the encoder made of them before stage 2 (each modality's tokens, averaged over all
    windows that hold the pixel) and in their morphological profiles. Columns are standardised, and either part counts
    as much as the other. Of a scene of more than `graph_most` pixels only a draw of them stands on the graph; the
    others take the mean shares of those that are nearest.

    Args:
        encoder: as stage 1 left it; put to evaluation mode.
        windows: of the scene, on the device.
        task: labelled pixels, device.
        options: `Options`: stride, neighbours, alpha, most.
    """
    tokens = frozen_features(encoder, windows, options.stride, task.device)
    profiles = morphological_profiles(task.scene)
    parts = [standardised(part) / np.sqrt(part.shape[1]) for part in (tokens, profiles)]
    features = np.concatenate(parts, axis=1).astype(np.float32)
    rows = on_the_graph(len(features), task.train_pixels, options.graph_most, task.rng("graph"))
    graph = neighbour_graph(features[rows], options.graph_neighbours)
    position = np.searchsorted(rows, task.train_pixels)
    shares = spread_labels(graph, position, task.train_targets, len(task.classes), options.graph_alpha)
    return handed_on(shares, rows, features, options.graph_neighbours)


@torch.no_grad()
def frozen_features(
    encoder: Encoder, windows: SceneWindows, stride: int, device: str
) -> Float32[np.ndarray, "pixels D"]:
    """Return every pixel's tokens of all modalities, side by side, averaged over the windows that hold it."""
    size = cast(ModalityEmbedding, encoder.modalities[0]).token_size
    encoder.eval()

    def of_windows(centres: Tensor) -> Tensor:
        encoded = encoder(windows(centres), torch.zeros_like(centres))
        tokens = torch.cat([found[..., 1:, :] for found in encoded], -1)
        side = windows.window // size
        return repeat(tokens, "n (row column) d -> n (row i column j) d", row=side, column=side, i=size, j=size)

    height, width = windows.shape
    return averaged(of_windows, windows, np.arange(height * width), stride, device).numpy()


def multiplied(scores: Scores, shares: Float[np.ndarray, "pixels K"]) -> Scores:
    """Return the logarithm of the product of both methods' probabilities, the one made as sharp as the other.

    Cosines times a learned scale are far surer than shares spread over a graph, whose rows are nearly flat. So the
    shares are raised to the power at which their mean entropy over the scene is that of the classifier's
    probabilities. No label is involved.

    Args:
        scores: of every pixel of the scene, scaled cosines.
        shares: of every pixel of the scene.
    """
    own, spread = log_softmax(scores.astype(np.float64), axis=1), np.log(shares)
    wanted, (low, high) = _entropy(own), _BOUNDS
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The higher the power, the lower the entropy.
        low, high = (middle, high) if _entropy(log_softmax(np.exp(middle) * spread, axis=1)) > wanted else (low, middle)
    return (own + log_softmax(np.exp(low) * spread, axis=1)).astype(np.float32)


def _entropy(log_shares: np.ndarray) -> float:
    return float(-(np.exp(log_shares) * log_shares).sum(axis=1).mean())

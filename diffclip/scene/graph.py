"""A graph of similar pixels, and few labels spread over it: what unlabelled pixels can tell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.sparse import coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import cg

from diffclip.errors import UserError
from diffclip.scene.scene import PixelIndex

# Of the linear system below: shares of labels far away on the graph are small numbers.
_TOLERANCE = 1e-9


def neighbour_graph(features: Float32[np.ndarray, "n D"], neighbours: int = 10) -> csr_array:
    """Join every pixel with those that have the nearest features.

    An edge between i and j weighs exp(-d(i, j)^2 / (s(i) s(j))), where s(i) is the distance from i to the farthest of
    its neighbours (Zelnik-Manor and Perona 2004), and is there when one of the two is among the other's neighbours.
    Weights are then divided by the roots of both ends' sums of weights.

    Args:
        features: one row per pixel, its columns as they shall count.
        neighbours: of each pixel; all others where there are fewer.

    Returns:
        (n, n) symmetric matrix without a diagonal, eigenvalues within -1..1.

    Raises:
        UserError: less than two pixels, or less than one neighbour.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(features)
    if n < 2 or neighbours < 1:
        raise UserError(f"graph: found {n} pixels and {neighbours} neighbours, expected 2 or more and 1 or more")
    k = min(neighbours, n - 1)
    # Without an argument every pixel is left out of its own neighbours, even among equals.
    distances, found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features).kneighbors()
    distances = distances.astype(np.float64)
    scale = np.maximum(distances[:, -1], np.finfo(np.float32).tiny)
    rows = np.repeat(np.arange(n), k)
    columns = found.ravel()
    weights = np.exp(-(distances.ravel() ** 2) / (scale[rows] * scale[columns]))
    one_way = coo_array((weights, (rows, columns)), shape=(n, n)).tocsr()
    both_ways = one_way.maximum(one_way.T)
    root = diags_array(1.0 / np.sqrt(np.maximum(both_ways.sum(axis=1), np.finfo(np.float64).tiny)))
    return csr_array(root @ both_ways @ root)


def spread_labels(
    graph: csr_array, pixels: PixelIndex, targets: Int[np.ndarray, " m"], n_classes: int, alpha: float = 0.95
) -> Float[np.ndarray, "n K"]:
    """Spread labels over a graph (Zhou et al. 2004, "Learning with local and global consistency").

    Solves (1 - alpha graph) F = Y, Y the one-hot labels of `pixels`; each row of F is then divided by its sum.

    Args:
        graph: of `neighbour_graph`.
        pixels: labelled ones, as rows of the graph.
        targets: their classes, 0..K-1.
        n_classes: K.
        alpha: share that a pixel takes from its neighbours, 0 < alpha < 1.

    Returns:
        Shares of the classes, rows add up to 1; equal ones where no label can be reached.

    Raises:
        UserError: alpha lies outside 0..1.
    """
    if not 0.0 < alpha < 1.0:
        raise UserError(f"graph: found alpha {alpha}, expected 0 < alpha < 1")
    n = graph.shape[0]
    system = csr_array(eye_array(n) - alpha * graph)
    shares = np.zeros((n, n_classes))
    for k in range(n_classes):
        labelled = np.zeros(n)
        labelled[pixels[targets == k]] = 1.0
        solution, _ = cg(system, labelled, rtol=_TOLERANCE)
        # The exact solution is never negative.
        shares[:, k] = np.maximum(solution, 0.0)
    shares += np.finfo(np.float64).tiny
    return shares / shares.sum(axis=1, keepdims=True)


def on_the_graph(n: int, pixels: PixelIndex, most: int, generator: np.random.Generator) -> PixelIndex:
    """Return which of n pixels stand on a graph, ascending: all, or of more than `most` a draw and the labelled ones.

    Args:
        n: pixels of the scene.
        pixels: labelled ones.
        most: pixels drawn; joining each with its nearest takes time that grows with the square of their number.
        generator: decides the draw.
    """
    return np.arange(n) if n <= most else np.union1d(generator.choice(n, most, replace=False), pixels)


def handed_on(
    shares: Float[np.ndarray, "m K"], rows: PixelIndex, features: Float32[np.ndarray, "n D"], neighbours: int = 10
) -> Float[np.ndarray, "n K"]:
    """Return the shares of all pixels, where those at `rows` stand on the graph (Delalleau et al. 2005).

    Any other pixel takes the mean shares of the pixels on the graph that have the nearest features.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(features)
    if len(rows) == n:
        return shares
    others = np.setdiff1d(np.arange(n), rows)
    search = NearestNeighbors(n_neighbors=min(neighbours, len(rows)), algorithm="brute").fit(features[rows])
    found = np.empty((n, shares.shape[1]))
    found[rows] = shares
    found[others] = shares[search.kneighbors(features[others], return_distance=False)].mean(axis=1)
    return found

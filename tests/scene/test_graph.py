"""A graph joins similar pixels, and labels spread along it."""

from __future__ import annotations

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.scene.graph import handed_on, neighbour_graph, on_the_graph, spread_labels


@pytest.fixture(scope="module")
def clouds():
    """Return 120 points in three well separated clouds, and the cloud of each."""
    generator = np.random.default_rng(0)
    of = np.repeat([0, 1, 2], 40)
    centres = np.array([[0, 0], [30, 0], [0, 30]])
    return (centres[of] + generator.normal(size=(120, 2))).astype(np.float32), of


def test_the_graph_joins_the_nearest_symmetrically_and_nobody_with_itself(clouds):
    points, of = clouds
    graph = neighbour_graph(points, 5).toarray()
    np.testing.assert_allclose(graph, graph.T)
    assert not graph.diagonal().any()
    assert not graph[of[:, None] != of].any()
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(120, np.inf))
    for row, nearest in enumerate(distances.argsort(axis=1)[:, :5]):
        assert (graph[row, nearest] > 0).all()
    assert np.abs(np.linalg.eigvalsh(graph)).max() <= 1 + 1e-9


def test_one_label_per_cloud_names_all_of_it(clouds):
    points, of = clouds
    found = spread_labels(neighbour_graph(points, 10), np.array([100, 3, 50]), np.array([2, 0, 1]), 3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found.argmax(axis=1) == of).all()


def test_shares_solve_the_equation_of_zhou_and_others(clouds):
    points, _ = clouds
    points = points / 10  # clouds that touch
    graph, pixels, targets = neighbour_graph(points, 30), np.array([0, 41, 90, 1]), np.array([0, 1, 2, 0])
    labelled = np.zeros((120, 3))
    labelled[pixels, targets] = 1
    expected = np.linalg.solve(np.eye(120) - 0.8 * graph.toarray(), labelled)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spread_labels(graph, pixels, targets, 3, alpha=0.8), expected, atol=1e-6)


def test_pixels_that_no_label_reaches_are_undecided(clouds):
    points, of = clouds
    found = spread_labels(neighbour_graph(points, 5), np.array([0, 50]), np.array([0, 1]), 2)
    np.testing.assert_allclose(found[of == 2], 0.5)


def test_equal_pixels_and_few_of_them_are_no_obstacle():
    graph = neighbour_graph(np.zeros((4, 2), dtype=np.float32), 10)
    assert np.isfinite(graph.toarray()).all()
    assert np.isfinite(spread_labels(graph, np.array([0]), np.array([1]), 2)).all()


def test_a_draw_of_many_pixels_stands_on_the_graph_with_all_labelled_ones_and_hands_on_what_it_finds(clouds):
    points, of = clouds
    labelled = np.array([100, 3, 50])
    rows = on_the_graph(120, labelled, 40, np.random.default_rng(0))
    assert set(labelled) <= set(rows) and 40 <= len(rows) <= 43 and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(on_the_graph(120, labelled, 120, np.random.default_rng(0)), np.arange(120))
    shares = spread_labels(neighbour_graph(points[rows], 5), np.searchsorted(rows, labelled), np.array([2, 0, 1]), 3)
    found = handed_on(shares, rows, points, 5)
    np.testing.assert_array_equal(found[rows], shares)
    assert (found.argmax(axis=1) == of).all()


@pytest.mark.parametrize(("n", "neighbours"), [(1, 3), (5, 0)])
def test_a_graph_of_nothing_is_refused(n, neighbours):
    with pytest.raises(UserError, match=f"found {n} pixels and {neighbours} neighbours, expected 2 or more"):
        neighbour_graph(np.zeros((n, 2), dtype=np.float32), neighbours)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_an_alpha_that_spreads_nothing_or_forever_is_refused(clouds, alpha):
    with pytest.raises(UserError, match=f"found alpha {alpha}, expected 0 < alpha < 1"):
        spread_labels(neighbour_graph(clouds[0], 5), np.array([0]), np.array([0]), 2, alpha=alpha)

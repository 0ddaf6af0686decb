"""The graph option: frozen features, labels spread over them, and a product in which both sides count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from diffclip.training import finetuning
from diffclip.training.transduction import frozen_features, multiplied
from diffclip.training.variants import TUNED


@pytest.fixture(scope="module")
def make_tuned(make_method):
    """Return `make(**options)`: the tuned variant in tiny sizes."""
    chosen = {name: value for name, value in TUNED.items() if not name.startswith("pretrain")}
    return lambda **options: make_method(**(chosen | {"steps": 20, "batch": 6, "lr": 5e-3} | options))


def _entropy(shares):
    return -(shares * np.log(shares + np.finfo(float).tiny)).sum(axis=1).mean()


def test_shares_are_made_as_sharp_as_the_scores_before_both_are_multiplied():
    generator = np.random.default_rng(0)
    scores = (20 * generator.normal(size=(200, 4))).astype(np.float32)
    flat = softmax(0.05 * generator.normal(size=(200, 4)), axis=1)
    found = multiplied(scores, flat).astype(float) - log_softmax(scores.astype(float), axis=1)
    assert _entropy(softmax(found, axis=1)) == pytest.approx(_entropy(softmax(scores.astype(float), axis=1)), rel=0.05)
    # Raised to a power: the order of the classes stays what it was.
    np.testing.assert_array_equal(found.argsort(axis=1), flat.argsort(axis=1))


def test_the_graph_changes_scores_that_still_depend_on_the_pixel_alone(make_tuned, draw_task, scene):
    plain, graph = (make_tuned(pretrain="none", graph=on, graph_neighbours=6) for on in (False, True))
    assert (plain.transductive, graph.transductive) == (False, True)
    task = draw_task(shots=2)
    for method in (plain, graph):
        method.train(task)
    everywhere = np.arange(scene.imagery.n_pixels)
    assert not np.allclose(plain.classify(everywhere), graph.classify(everywhere))
    np.testing.assert_array_equal(graph.classify(everywhere)[[5, 3]], graph.classify(np.array([5, 3])))


def test_several_seeds_are_taken_one_after_another(make_tuned, draw_task):
    tasks = [draw_task(shots=2, seed=seed) for seed in (0, 1)]
    methods = [make_tuned(pretrain="none", graph=True, graph_neighbours=6, steps=2) for _ in tasks]
    type(methods[0]).train_many(methods, tasks)
    for method, task in zip(methods, tasks, strict=True):
        alone = make_tuned(pretrain="none", graph=True, graph_neighbours=6, steps=2)
        alone.train(task)
        np.testing.assert_array_equal(method.classify(np.arange(50)), alone.classify(np.arange(50)))


def test_frozen_features_are_stage_1s_and_stage_2_does_not_move_them(make_tuned, draw_task, checkpoint, monkeypatch):
    method = make_tuned(graph=True, profiles=False, profile_skip=False)
    task, seen = draw_task(pretrained=checkpoint), []
    spread = "diffclip.training.transduction.spread_labels"
    monkeypatch.setattr(
        "diffclip.training.transduction.neighbour_graph", lambda features, neighbours: seen.append(features)
    )
    monkeypatch.setattr(spread, lambda *arguments: np.full((256, 3), 1 / 3))
    method.train(task)
    begun = finetuning.start(task, method.options)
    tokens = frozen_features(begun.model.encoder, begun.windows, 3, "cpu")
    assert tokens.shape == (256, 32)
    (used,) = seen
    scaled = (tokens - tokens.mean(0)) / tokens.std(0)
    np.testing.assert_allclose(used[:, :32] * 32**0.5, scaled, atol=1e-3)
    # Either part counts as much as the other.
    assert (used[:, :32] ** 2).sum() == pytest.approx((used[:, 32:] ** 2).sum(), rel=1e-3)
    assert not torch.equal(begun.model.encoder.norm.weight, method.model.encoder.norm.weight)

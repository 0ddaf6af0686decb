"""The support vector machine's scores, reach and choice of settings."""

from __future__ import annotations

import numpy as np
import pytest

from diffclip.protocol.catalogue import make_method


@pytest.mark.parametrize("features", ["spectra", "means", "emp"])
def test_tells_easy_classes_apart(features, tiny_scene, draw_task):
    scene = tiny_scene()
    svm = make_method("svm", features)
    svm.train(draw_task(scene, shots=5))
    pixels = np.flatnonzero(scene.labels)
    assert (svm.classify(pixels).argmax(axis=1) + 1 == scene.labels.ravel()[pixels]).mean() > 0.9


def test_two_classes_get_two_opposite_columns(tiny_scene, draw_task):
    scene = tiny_scene()
    svm = make_method("svm")
    svm.train(draw_task(scene, shots=5, classes=(1, 3)))
    of_1, of_3 = (svm.classify(np.flatnonzero(scene.labels == k)) for k in (1, 3))
    np.testing.assert_array_equal(of_1[:, 0], -of_1[:, 1])
    assert (of_1[:, 0] > 0).mean() > 0.9
    assert (of_3[:, 1] > 0).mean() > 0.9


def test_best_score_is_scikit_learns_prediction_when_ties_are_broken(tiny_scene, draw_task):
    task = draw_task(tiny_scene(noise=2.0), shots=5)
    svm = make_method("svm")
    svm.train(task)
    pixels = np.arange(task.scene.n_pixels)
    svm.machine.set_params(break_ties=True)
    np.testing.assert_array_equal(svm.classify(pixels).argmax(axis=1), svm.machine.predict(task.scene.spectra(pixels)))


@pytest.mark.parametrize(
    ("options", "reach"),
    [
        ({"features": "spectra"}, 0),
        ({"features": "means", "scales": (1, 9)}, 4),
        ({"features": "emp"}, "scene"),
    ],
)
def test_reach_follows_the_features(options, reach):
    assert make_method("svm", options=options).reach(None) == reach


def test_cross_validation_needs_two_shots_and_repeats(tiny_scene, draw_task):
    scene = tiny_scene(noise=2.0)
    chosen = {}
    for shots in (1, 5):
        machines = [make_method("svm", options={"cross_validate": True}) for _ in range(2)]
        for machine in machines:
            machine.train(draw_task(scene, shots=shots))
        chosen[shots] = [(machine.machine.C, machine.machine.gamma) for machine in machines]
    assert chosen[1] == [(100.0, "scale")] * 2
    assert chosen[5][0] == chosen[5][1]


def test_without_aux_the_rasters_do_not_matter(tiny_scene, draw_task):
    pixels = np.arange(50)
    scores = []
    for channels in (1, 2):
        svm = make_method("svm", "spectra", {"use_aux": False})
        svm.train(draw_task(tiny_scene(channels)))
        scores.append(svm.machine.n_features_in_)
        assert svm.classify(pixels).shape == (50, 3)
    assert scores == [16, 16]

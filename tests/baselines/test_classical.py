"""The classical rivals: what they look at, how settings are chosen within the shots, and what single ones promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from baselines._features import OfFeatures, features_of, fit_chosen
from diffclip.errors import UserError
from diffclip.protocol.catalogue import find_method, make_method, method_names

CLASSICAL = ["knn", "label_spreading", "lda", "logistic_regression", "nearest_mean", "random_forest", "svm"]
FAST = {"random_forest": {"trees": 20}}


def trained(name, task, variant="default", **options):
    method = make_method(name, variant, {**FAST.get(name, {}), **options})
    method.train(task)
    return method


def test_every_classical_method_is_made_on_every_kind_of_features():
    assert [name for name in method_names() if issubclass(find_method(name), OfFeatures)] == CLASSICAL
    for name in CLASSICAL:
        assert list(find_method(name).variants) == ["spectra", "spectra+aux", "means", "emp", "emp+means"]


@pytest.mark.parametrize("name", CLASSICAL)
def test_tells_easy_classes_apart(name, tiny_scene, draw_task):
    scene = tiny_scene()
    method = trained(name, draw_task(scene, shots=5))
    pixels = np.flatnonzero(scene.labels)
    assert (method.classify(pixels).argmax(axis=1) + 1 == scene.labels.ravel()[pixels]).mean() > 0.9


@pytest.mark.parametrize(
    ("variant", "columns", "reach", "windows"),
    [
        ("spectra", 16, 0, 0),
        ("spectra+aux", 18, 0, 0),
        ("means", 54, 5, 5),
        ("emp", 63, "scene", 0),
        ("emp+means", 117, "scene", 5),
    ],
)
def test_variants_name_their_features_and_how_far_these_reach(variant, columns, reach, windows, tiny_scene):
    method = make_method("svm", variant)
    assert features_of(tiny_scene().imagery, method.options).shape == (24 * 24, columns)
    assert (method.reach(None), method.window_reach(None)) == (reach, windows)
    wide = make_method("label_spreading", variant, {"scales": [1, 21]})
    assert (wide.reach(None), wide.window_reach(None)) == ("scene", 10 if windows else 0)


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": []}, r"scales: found \[\], expected one or more odd numbers from 1 on"),
        ({"scales": [1, -1]}, r"scales: found \[1, -1\], expected"),
        ({"features": "means", "scales": [2]}, r"scales: found \[2\], expected"),
        ({"components": 0}, "components: found 0, expected 1 or more"),
        ({"radii": [0]}, r"radii: found \[0\], expected numbers from 1 on"),
    ],
)
def test_features_that_cannot_be_made_are_refused_with_the_options(name, options, said):
    with pytest.raises(UserError, match=f"method {name}, variant mine: {said}"):
        make_method(name, "mine", options)


@pytest.mark.parametrize("variant", ["means", "emp", "emp+means"])
def test_features_of_some_pixels_are_rows_of_those_of_all(variant, tiny_scene):
    imagery, options, pixels = tiny_scene().imagery, make_method("svm", variant).options, np.array([5, 3, 500])
    np.testing.assert_array_equal(
        features_of(imagery, options, pixels), features_of(imagery, options)[pixels], strict=True
    )


def weighted(first: float, second: float) -> dict:
    return {"metric_params": {"w": np.array([first, second])}}


def test_a_setting_is_chosen_only_where_the_shots_show_that_it_is_better(draw_task, tiny_scene):
    task = draw_task(tiny_scene(), shots=8, classes=(1, 2))
    generator, targets = np.random.default_rng(0), np.repeat([0, 1], 8)
    features = np.stack([targets + 0.1 * generator.normal(size=16), generator.normal(size=16)], axis=1)
    good, noise, same = weighted(1.0, 0.0), weighted(0.0, 1.0), weighted(2.0, 0.0)
    for settings, kept in (([noise, good], good), ([good, noise], good), ([good, same], good), ([same, good], same)):
        chosen = fit_chosen(KNeighborsClassifier(1), settings, features.astype(np.float32), targets, task)
        np.testing.assert_array_equal(chosen.metric_params["w"], kept["metric_params"]["w"])


def test_nothing_is_chosen_at_one_shot(draw_task, tiny_scene):
    method = trained("svm", draw_task(tiny_scene(noise=2.0), shots=1))
    assert (method.machine.C, method.machine.gamma) == (100.0, "scale")


def test_two_classes_get_two_opposite_columns(tiny_scene, draw_task):
    scene = tiny_scene()
    for name in ("svm", "logistic_regression"):
        method = trained(name, draw_task(scene, shots=5, classes=(1, 3)))
        of_1, of_3 = (method.classify(np.flatnonzero(scene.labels == k)) for k in (1, 3))
        np.testing.assert_array_equal(of_1[:, 0], -of_1[:, 1])
        assert (of_1[:, 0] > 0).mean() > 0.9
        assert (of_3[:, 1] > 0).mean() > 0.9


def test_lda_is_the_nearest_mean_at_one_shot_and_scikit_learns_with_many(tiny_scene, draw_task):
    scene, pixels = tiny_scene(noise=1.0), np.arange(24 * 24)
    one = draw_task(scene, shots=1)
    found, expected = (trained(name, one).classify(pixels).argmax(axis=1) for name in ("lda", "nearest_mean"))
    np.testing.assert_array_equal(found, expected)
    many = draw_task(scene, shots=100)
    features = scene.imagery.spectra(pixels)
    theirs = LinearDiscriminantAnalysis().fit(features[many.train_pixels], many.train_targets).predict(features)
    assert (trained("lda", many).classify(pixels).argmax(axis=1) == theirs).mean() > 0.97


def test_a_scene_larger_than_the_graph_is_classified_by_its_nearest_pixels_there(tiny_scene, draw_task):
    scene = tiny_scene()
    task, pixels = draw_task(scene), np.arange(24 * 24)
    whole, part = (trained("label_spreading", task, most=most).classify(pixels) for most in (576, 200))
    assert part.shape == whole.shape
    assert (part.argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.95

"""The simulated scene: plausible, reproducible, and as hard as it is meant to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage
from sklearn.svm import SVC

from diffclip.scene.scene import Scene
from diffclip.scene.simulation import SimulationOptions, simulate
from diffclip.scene.simulation.canvas import Canvas
from diffclip.scene.simulation.classes import KINDS
from diffclip.scene.simulation.materials import object_spectra
from diffclip.scene.simulation.sensor import cast_shadow, hyperspectral, sunlight

NM = np.linspace(400.0, 1000.0, 64)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(SimulationOptions())


def small(**changed: Any) -> Scene:
    return simulate(SimulationOptions(**{"height": 64, "width": 80, "bands": 16, **changed}))


def label(scene: Scene, name: str) -> int:
    return scene.class_names.index(name) + 1


def median_spectrum(scene: Scene, name: str) -> np.ndarray:
    return np.median(scene.hsi[scene.labels == label(scene, name)], axis=0)


def at(scene: Scene, wavelength: float) -> int:
    return int(np.argmin(np.abs(np.array(scene.info.wavelengths) - wavelength)))


def cube_of(reflectance: np.ndarray, light: np.ndarray, **changed: Any) -> np.ndarray:
    """What the camera delivers of a given ground; the same draws for the same options."""
    options = SimulationOptions(**{"noise": 0.0, "mixing": 0.0, **changed})
    return hyperspectral(
        reflectance.astype(np.float32), light.astype(np.float32), NM, options, np.random.default_rng(0)
    )


# --- reproducible -----------------------------------------------------------------------------------------------------


def test_the_same_options_give_the_same_scene_and_no_global_generator_is_touched() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].tolist()
    assert small(seed=3).sha256 == small(seed=3).sha256
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == before


def test_another_seed_gives_another_scene() -> None:
    first, second = small(seed=3), small(seed=4)
    assert (first.labels != second.labels).mean() > 0.2
    assert not np.array_equal(first.hsi, second.hsi)
    assert not np.array_equal(first.aux, second.aux)


def test_a_knob_changes_what_it_names_and_nothing_else() -> None:
    plain, noisy, evening = small(), small(noise=0.05), small(sun_elevation=25.0)
    for other in (noisy, evening):
        assert np.array_equal(other.labels, plain.labels)
        assert np.array_equal(other.aux, plain.aux), "the laser brings its own light and its own noise"
        assert not np.array_equal(other.hsi, plain.hsi)
    assert not np.array_equal(small(lidar_noise=0.5).aux, plain.aux)


# --- complete ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        {"height": 48, "width": 48},
        {"height": 64, "width": 80},
        {"height": 112, "width": 112},
        {"height": 150, "width": 48},
        {"height": 96, "width": 96, "gsd": 0.5},
        {"height": 64, "width": 64, "gsd": 2.0},
        {"height": 64, "width": 64, "unlabelled": 0.9},
    ],
)
def test_every_class_has_pixels_enough_for_few_shots_at_any_size(size: dict[str, Any]) -> None:
    for seed in range(6):
        found = simulate(SimulationOptions(seed=seed, bands=8, **size))
        counts = np.bincount(found.labels.ravel(), minlength=found.n_classes + 1)[1:]
        assert counts.min() >= 24, (seed, dict(zip(found.class_names, counts.tolist(), strict=True)))


def test_the_default_scene_is_imbalanced_and_its_rarest_class_is_still_usable(scene: Scene) -> None:
    counts = np.bincount(scene.labels.ravel())[1:]
    assert counts.min() >= 60
    assert counts.max() >= 10 * counts.min()


def test_size_bands_and_texts_are_as_asked(scene: Scene) -> None:
    assert scene.hsi.shape == (112, 112, 64)
    assert scene.aux.shape == (112, 112, 2)
    info = scene.info
    assert info.simulated
    assert (info.wavelengths[0], info.wavelengths[-1], info.gsd) == (400.0, 1000.0, 1.0)
    shown = [info.wavelengths[band] for band in info.false_colour]
    assert shown == pytest.approx([650.0, 550.0, 450.0], abs=5.0)
    assert len(info.aux_names) == 2
    assert len(set(info.descriptions)) == len(set(info.colours)) == scene.n_classes == 10
    assert "imulated" in info.citation
    assert small(wavelength_range=(900.0, 2400.0)).info.wavelengths[-1] == 2400.0


def test_more_is_left_unlabelled_when_asked() -> None:
    labelled = [np.count_nonzero(small(unlabelled=share).labels) for share in (0.0, 0.5)]
    assert labelled[1] == pytest.approx(0.5 * labelled[0], rel=0.02)
    assert labelled[0] < 64 * 80, "borders stay unlabelled in any case"


# --- plausible --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grass", "crops", "trees"])
def test_plants_show_a_green_peak_and_a_red_edge(scene: Scene, name: str) -> None:
    spectrum = median_spectrum(scene, name)
    assert spectrum[at(scene, 800)] > 2.5 * spectrum[at(scene, 672)]
    assert spectrum[at(scene, 555)] > 1.1 * spectrum[at(scene, 672)]
    steepest = scene.info.wavelengths[int(np.argmax(np.diff(spectrum)))]
    assert 690.0 <= steepest <= 740.0


@pytest.mark.parametrize("name", ["road", "parking lot", "pavement", "flat roof", "water"])
def test_what_does_not_live_has_no_red_edge(scene: Scene, name: str) -> None:
    spectrum = median_spectrum(scene, name)
    assert spectrum[at(scene, 800)] < 1.3 * spectrum[at(scene, 672)]


def test_water_is_dark_and_falls_towards_the_infrared(scene: Scene) -> None:
    water = median_spectrum(scene, "water")
    assert water[at(scene, 900)] < 0.6 * water[at(scene, 500)]
    assert water[at(scene, 900)] < 0.25 * median_spectrum(scene, "bare soil")[at(scene, 900)]


@pytest.mark.parametrize("kind", KINDS)
def test_reflectance_stays_between_zero_and_one_from_350_to_2500_nm(kind: str) -> None:
    for spectra in object_spectra(kind, np.linspace(350.0, 2500.0, 216), 200, 1.0, np.random.default_rng(0)):
        assert spectra.min() > 0.0
        assert spectra.max() < 1.0


def test_objects_of_one_kind_differ_as_much_as_variety_says() -> None:
    none, some, more = (
        object_spectra("lawn", NM, 300, variety, np.random.default_rng(0))[0].std(axis=0).mean()
        for variety in (0.0, 0.5, 1.0)
    )
    assert none == pytest.approx(0.0, abs=1e-12)
    assert more > 1.5 * some > 0.0


def test_roads_and_bitumen_roofs_share_their_spectra_and_differ_in_height(scene: Scene) -> None:
    road, roof = (object_spectra(kind, NM, 400, 1.0, np.random.default_rng(1))[0] for kind in ("roadway", "bitumen"))
    assert np.abs(road.mean(axis=0) - roof.mean(axis=0)).max() < 0.2 * road.std(axis=0).mean()
    heights = {name: np.median(scene.aux[scene.labels == label(scene, name), 0]) for name in scene.class_names}
    assert heights["flat roof"] > 3.0
    assert heights["trees"] > 2.5
    for flat in ("road", "parking lot", "bare soil", "grass", "water"):
        assert abs(heights[flat]) < 0.6


# --- sensed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("azimuth", "direction"), [(180.0, (-1, 0)), (0.0, (1, 0)), (90.0, (0, -1)), (270.0, (0, 1))])
def test_a_tower_casts_its_shadow_away_from_the_sun_as_far_as_its_height_asks(
    azimuth: float, direction: tuple[int, int]
) -> None:
    height = np.zeros((41, 41), np.float32)
    height[20, 20] = 10.0
    shadow = cast_shadow(height, SimulationOptions(sun_azimuth=azimuth, sun_elevation=45.0))
    rows, cols = np.nonzero(shadow)
    along = (rows - 20) * direction[0] + (cols - 20) * direction[1]
    across = (rows - 20) * direction[1] + (cols - 20) * direction[0]
    assert sorted(along) == list(range(1, 10))
    assert not across.any()


def test_shadows_darken_and_turn_blue() -> None:
    light = np.ones((48, 48))
    light[:, 24:] = 0.0
    ratio = cube_of(np.full((48, 48, 64), 0.3), light)
    ratio = ratio[:, 25] / ratio[:, 22]
    assert ratio.max() < 0.45
    assert np.all(np.diff(ratio.mean(axis=0)) < 0.0), "skylight falls with wavelength"


def test_slopes_that_face_the_sun_are_brighter_and_the_ground_behind_a_house_is_not_lit() -> None:
    canvas = Canvas.blank((64, 64), 1.0, "lawn")
    canvas.gable(canvas.box.shrunk(16), "tile", 3.0, 6.0)
    rows = np.arange(64)[:, None] + np.zeros(64)
    roof = canvas.kind == KINDS.index("tile")
    light = sunlight(canvas, SimulationOptions(sun_azimuth=180.0, sun_elevation=60.0), np.random.default_rng(0))
    assert light[roof & (rows > 32)].mean() > 1.2 * light[roof & (rows < 31)].mean(), "south is down"
    assert np.all(light[15, 20:44] == 0.0), "north of the wall"
    assert np.all(light[48:, 20:44] > 0.0), "south of it"


def test_the_footprint_mixes_neighbours_linearly_at_borders_only() -> None:
    ground = np.full((48, 48, 64), 0.1)
    ground[:, 24:] = 0.5
    sharp = cube_of(ground, np.ones((48, 48)))
    mixed = cube_of(ground, np.ones((48, 48)), mixing=0.6)
    assert mixed[:, [10, 40]] == pytest.approx(sharp[:, [10, 40]], rel=0.02)
    share = (mixed[:, 23] - sharp[:, 22]) / (sharp[:, 25] - sharp[:, 22])
    assert np.all((share > 0.1) & (share < 0.3)), "the last dark column takes some light from the bright side"


def test_noise_has_the_asked_size_in_the_middle_and_grows_towards_both_ends() -> None:
    ground, light = np.full((64, 64, 64), 0.4), np.ones((64, 64))
    deviation = (cube_of(ground, light, noise=0.01) - cube_of(ground, light)).std(axis=(0, 1))
    assert deviation[30:34] == pytest.approx(0.01, rel=0.06)
    assert deviation[0] > 3.0 * deviation[32]
    assert deviation[-1] > 3.0 * deviation[32]


# --- hard enough ------------------------------------------------------------------------------------------------------


def overall_accuracies(scene: Scene, seed: int, shots: int = 10) -> dict[str, float]:
    """Overall accuracy in % of simple classifiers after a random split."""
    rng = np.random.default_rng(seed)
    y = scene.labels.ravel()
    train = np.concatenate([rng.choice(np.flatnonzero(y == k), shots, replace=False) for k in range(1, 11)])
    test = np.setdiff1d(np.flatnonzero(y), train)
    hsi, aux = scene.imagery.scaled()
    cube = np.concatenate([hsi, aux], axis=2)
    windows = [ndimage.uniform_filter(cube, (side, side, 0)) for side in (3, 7, 11)]
    features = {name: array.reshape(y.size, -1) for name, array in (("hsi", hsi), ("lidar", aux), ("both", cube))}
    features["windows"] = np.concatenate(windows, axis=2).reshape(y.size, -1)
    features["windows"] /= features["windows"].std(axis=0)

    def accuracy(predicted: np.ndarray) -> float:
        return 100.0 * float((predicted == y[test]).mean())

    found = {
        name: accuracy(SVC(C=100.0, gamma="scale").fit(x[train], y[train]).predict(x[test]))
        for name, x in features.items()
    }
    means = np.stack([features["both"][train][y[train] == k].mean(axis=0) for k in range(1, 11)])
    nearest = ((features["both"][test][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return {**found, "nearest mean": accuracy(1 + nearest)}


def test_neither_modality_nor_simple_means_suffice_and_surroundings_help(scene: Scene) -> None:
    runs = [overall_accuracies(each, seed) for each in (scene, simulate(SimulationOptions(seed=1))) for seed in (0, 1)]
    mean = {name: np.mean([run[name] for run in runs]) for name in runs[0]}
    assert mean["lidar"] + 5.0 < mean["hsi"]
    assert mean["hsi"] + 5.0 < mean["both"]
    assert mean["both"] + 3.0 < mean["windows"]
    assert mean["nearest mean"] + 15.0 < mean["windows"]
    assert 40.0 < mean["nearest mean"] < 72.0
    assert 75.0 < mean["windows"] < 93.0, "good methods must still have room above"


def test_two_shots_are_much_harder_than_ten(scene: Scene) -> None:
    two, ten = (np.mean([overall_accuracies(scene, seed, shots)["windows"] for seed in range(3)]) for shots in (2, 10))
    assert two + 10.0 < ten


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"height": 47}, "greater than or equal to 48"),
        ({"width": 20}, "greater than or equal to 48"),
        ({"bands": 7}, "greater than or equal to 8"),
        ({"wavelength_range": (1000.0, 400.0)}, "first < last"),
        ({"wavelength_range": (400.0, 3000.0)}, "within 350..2500 nm"),
        ({"height": 64, "gsd": 0.5}, "at least 48 m"),
        ({"unlabelled": 1.0}, "less than or equal to 0.9"),
        ({"noise": -0.1}, "greater than or equal to 0"),
        ({"nois": 0.1}, "Extra inputs"),
    ],
)
def test_options_that_make_no_scene_are_refused_with_the_reason(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SimulationOptions(**wrong)


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SimulationOptions().seed = 1  # type: ignore[misc]


def test_the_documentation_tells_every_option_and_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/scenes.md").read_text()
    for name, option in SimulationOptions.model_fields.items():
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        assert f"| `{name}` | {option.description} | {default} |\n" in page

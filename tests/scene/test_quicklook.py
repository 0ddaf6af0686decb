"""Quick looks: the picture is there, the same every time, and says what it must."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from diffclip.scene.load import load_scene
from diffclip.scene.quicklook import class_colours, label_colours, quicklook
from diffclip.scene.rendering import false_colour
from diffclip.scene.scene import Scene, SceneInfo


@pytest.fixture
def tiny(write_card: Callable[..., Path]) -> Scene:
    """The tiny scene with colours of its own."""
    classes = [{"id": 7, "name": "seven", "colour": "#ff0000"}, {"id": 2, "name": "two", "colour": "#0000ff"}]
    return load_scene(write_card(classes=classes))


def test_a_quick_look_is_a_picture_and_the_same_every_time(tiny: Scene, tmp_path: Path) -> None:
    first, second = quicklook(tiny, tmp_path / "a.png"), quicklook(tiny, tmp_path / "new" / "b.png")
    assert first.read_bytes() == second.read_bytes()
    picture = imread(first)
    assert picture.shape[0] > 200 and picture.shape[1] > 400 and picture.std() > 0.1


def test_a_wide_scene_has_its_panels_below_one_another(tiny: Scene, tmp_path: Path) -> None:
    hsi, aux, labels = np.tile(tiny.hsi, (1, 4, 1)), np.tile(tiny.aux, (1, 4, 1)), np.tile(tiny.labels, (1, 4))
    wide = dataclasses.replace(tiny, hsi=hsi, aux=aux, labels=labels)
    picture = imread(quicklook(wide, tmp_path / "wide.png"))
    tall = imread(quicklook(tiny, tmp_path / "tall.png"))
    assert picture.shape[0] > tall.shape[0] and picture.shape[1] < tall.shape[1] * 1.5


def test_a_simulated_scene_says_so_in_its_title(tiny: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda self, text, **kwargs: titles.append(text))
    quicklook(dataclasses.replace(tiny, info=dataclasses.replace(tiny.info, simulated=True)), tmp_path / "s.png")
    quicklook(tiny, tmp_path / "r.png")
    assert "SIMULATED" in titles[0] and "SIMULATED" not in titles[1]


def test_false_colour_stretches_each_band_over_the_full_range(tiny: Scene) -> None:
    picture = false_colour(tiny.imagery)
    assert picture.shape == (4, 6, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [0, 0, 0] and picture[3, 5].tolist() == [255, 255, 255]


def test_labels_are_shown_in_the_cards_colours_and_unlabelled_in_white(tiny: Scene) -> None:
    picture = label_colours(tiny)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 5].tolist() == [255, 0, 0] and picture[3, 5].tolist() == [0, 0, 255]


@pytest.mark.parametrize("n", [2, 20, 33])
def test_default_colours_are_distinct(n: int) -> None:
    colours = class_colours(n, SceneInfo("untitled", simulated=False))
    assert len(set(colours)) == n and all(len(colour) == 7 for colour in colours)

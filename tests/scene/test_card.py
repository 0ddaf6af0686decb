"""Cards: what is accepted, what is refused and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from diffclip.errors import UserError
from diffclip.scene.card import (
    CARD_FOLDER,
    AuxSource,
    ClassEntry,
    MeasuredCard,
    SimulatedCard,
    card_names,
    card_schema,
    load_card,
)

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / CARD_FOLDER
PAGE = (ROOT / "docs/scenes.md").read_text()
EXPECTED = {"houston2013": (15, 144), "trento": (6, 63), "muufl": (11, 64), "muufl-crop": (8, 64)}


def _measured(path: str | Path, folder: Path | None = None) -> MeasuredCard:
    card = load_card(path, folder)
    assert isinstance(card, MeasuredCard)
    return card


@pytest.mark.parametrize("name", EXPECTED)
def test_a_shipped_card_has_texts_colours_and_wavelengths_for_everything(name: str) -> None:
    card = _measured(name, SHIPPED)
    n_classes, n_bands = EXPECTED[name]
    assert len(card.classes) == n_classes and len(card.band_centres) == n_bands
    assert all(entry.description and entry.colour for entry in card.classes)
    assert len({entry.colour for entry in card.classes}) == n_classes
    assert set(card.sha256) == set(card.files)
    assert card.citation and card.terms and card.gsd
    assert card.false_colour is not None
    red, green, blue = (card.band_centres[band] for band in card.false_colour)
    assert abs(red - 640) < 6 and abs(green - 550) < 6 and abs(blue - 460) < 6


def test_two_shipped_cards_say_the_same_of_the_same_class() -> None:
    said: dict[str, set[str]] = {}
    for name in EXPECTED:
        for entry in _measured(name, SHIPPED).classes:
            said.setdefault(entry.name, set()).add(entry.description)
    assert len(said["trees"]) == len(said["buildings"]) == len(said["water"]) == len(said["road"]) == 1


def test_the_simulated_card_asks_the_simulator() -> None:
    card = load_card("simulated", SHIPPED)
    assert isinstance(card, SimulatedCard) and card.simulate.seed == 0


def test_names_are_those_of_the_files() -> None:
    assert set(card_names(SHIPPED)) >= {*EXPECTED, "simulated"}
    assert load_card("trento", SHIPPED).name == "trento"


def test_cards_beside_the_package_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "trento" in card_names()
    own = tmp_path / CARD_FOLDER
    own.mkdir(parents=True)
    (own / "trento.yaml").write_text("{title: My own Trento, simulate: {}}")
    assert load_card("trento").title == "My own Trento"


def test_an_unknown_name_is_refused_with_the_nearest_and_all_known() -> None:
    with pytest.raises(UserError, match=r"'houston'.*did you mean 'houston2013'.*muufl, muufl-crop"):
        load_card("houston", SHIPPED)


def test_every_error_of_a_card_is_listed_at_once(write_card: Callable[..., Path]) -> None:
    path = write_card(
        without=("title",),
        hsi={"file": "hsi.npy", "kye": "HSI", "axes": "HWX"},
        gsd=-1,
        false_color=[1, 2, 3],
        wavelengths={"start": 400, "stop": 1000},
        classes=[{"id": 1, "name": "a"}, {"id": 1, "name": "b", "colour": "red"}],
    )
    with pytest.raises(UserError) as refused:
        load_card(path)
    lines = str(refused.value).splitlines()
    assert len(lines) == 7 and all(line.startswith(f"{path}: ") for line in lines)
    text = str(refused.value)
    assert "title: missing" in text
    assert "hsi.kye: unknown key (did you mean 'key'?)" in text
    assert "hsi.axes: found 'HWX'" in text
    assert "gsd: found -1" in text
    assert "false_color: unknown key (did you mean 'false_colour'?)" in text
    assert "bands: missing" in text
    assert "classes.1.colour: found 'red'" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "id 1 given more than once"),
        ({"classes": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "name 'a' given more than once"),
        ({"classes": [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "description": "B."}]}, "no description for a"),
        ({"unlabelled": [0, 7]}, r"ids \[7\] are both"),
        ({"sha256": {"his.npy": "0" * 64}}, "'his.npy' is not a file of this card.*did you mean 'hsi.npy'"),
        ({"train_labels": {"file": "labels.npy"}}, "train_labels and test_labels belong together"),
        ({"classes": [{"id": 1, "name": "a"}]}, "classes: found 1 entries, expected 2 or more"),
        ({"aux": []}, "aux: found 0 entries, expected 1 or more"),
        ({"rows": [3, 3]}, "first < end"),
        ({"labels": {"file": "labels.npy", "axes": "HWB"}}, "axes of a label map"),
        ({"hsi": {"file": "hsi.npy", "scale": 0}}, r"hsi\.scale: found 0.*; expected another factor"),
        ({"hsi": {"file": "../hsi.npy"}}, "below the scene's folder"),
        ({"without": ("labels",)}, "no labels"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    write_card: Callable[..., Path], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        load_card(write_card(**changes))


def test_the_schema_knows_both_kinds_of_cards() -> None:
    assert {"MeasuredCard", "SimulatedCard"} <= set(card_schema()["$defs"])


@pytest.mark.parametrize("model", [MeasuredCard, SimulatedCard, AuxSource, ClassEntry])
def test_every_key_is_explained_in_the_documentation(model: type[BaseModel]) -> None:
    assert [key for key in model.model_fields if f"`{key}`" not in PAGE] == []


def test_the_worked_example_of_the_documentation_is_a_card(tmp_path: Path) -> None:
    path = tmp_path / "harbour.yaml"
    path.write_text(PAGE.split("```yaml\n")[1].split("```")[0])
    card = _measured(path)
    assert card.files == ("cube.mat", "dsm.tif", "intensity.tif", "labels.npy") and len(card.band_centres) == 120

"""Published numbers: what the file may hold, and the verdicts on ours."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffclip.errors import UserError
from diffclip.scene.card import card_names
from diffclip.study.cells import Cell
from diffclip.study.config import parse_study
from diffclip.validation import read_yaml
from report.__main__ import main
from report.frame import read_runs
from report.published import Published, Score, judge, read_published, scores
from report.statistics.intervals import Interval
from report.study import read_study

ROOT = Path(__file__).parents[2]


def test_every_published_number_names_its_source_and_how_it_was_drawn() -> None:
    found = read_published()
    assert {one.method for one in found} >= {"diffclip", "svm", "mft"}
    for one in found:
        assert one.source
        assert one.drawn
        assert set(one.numbers) <= set(card_names())
        # What is comparable says with which shots.
        assert one.not_comparable or one.shots
    diffclip = next(one for one in found if one.method == "diffclip")
    assert diffclip.second_hand
    assert diffclip.numbers["muufl"].model_dump() == {"oa": 86.98, "aa": 85.01, "kappa": 82.81}


def test_the_reproduction_study_runs_what_can_be_compared() -> None:
    study = parse_study(read_yaml(ROOT / "config/reproduction.yaml"), "reproduction")
    for one in (one for one in read_published() if not one.not_comparable):
        assert set(one.numbers) <= set(study.scenes)
        assert one.shots in study.shots
        assert one.window == study.window
        assert one.protocol in study.protocols
        (variant,) = set(one.variants) & set(study.methods[one.method])
        options = study.made(Cell("muufl", "paper", one.method, variant, 40, 11, 0.7)).settings()
        assert {key: options[key] for key in one.settings} == one.settings


def test_a_published_kappa_above_oa_is_refused(tmp_path: Path) -> None:
    text = "a: {method: m, title: M, protocol: paper, drawn: so, source: there, numbers: {s: {oa: 80.0, kappa: 81.0}}}"
    (tmp_path / "published.yaml").write_text(text)
    with pytest.raises(UserError, match=r"kappa 81.0 is above OA 80.0"):
        read_published(tmp_path / "published.yaml")


def test_the_verdict_is_the_place_in_our_interval() -> None:
    ours = Interval(79.0, 83.0, "seeds")
    assert [judge(value, 81.0, ours) for value in (79.0, 82.5, 78.0, 90.0)] == [
        "reproduced",
        "reproduced",
        "higher",
        "lower",
    ]
    assert "fewer than two runs" in judge(80.0, 81.0, None)


TOY: dict[str, Any] = {
    "method": "diffclip",
    "title": "DiffCLIP",
    "protocol": "strict",
    "shots": 2,
    "drawn": "so",
    "source": "there",
    "numbers": {"toy": {"oa": 50.0}},
}


def verdict(folder: Path, **changes: Any) -> Score:
    study = read_study(folder)
    runs = read_runs(study).assign(simulated=False)
    (found,) = scores(study, runs, [Published(**TOY | changes)])
    return found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "higher"),
        ({"numbers": {"toy": {"kappa": 99.9}}}, "lower"),
        ({"numbers": {"muufl": {"oa": 50.0}}}, "not comparable: scene muufl is not in this study"),
        ({"shots": 40}, "not comparable: 40 shots are not in this study"),
        ({"protocol": "standard"}, "not comparable: protocol standard is not in this study"),
        ({"variants": ["as-released"]}, "not comparable: no variant as-released in this study"),
        ({"window": 11}, "not comparable: window 5, published 11"),
        ({"settings": {"width": 128}}, "not comparable: width None, published 128"),
        ({"not_comparable": "other pixels"}, "not comparable: other pixels"),
    ],
)
def test_what_differs_is_not_compared_and_says_why(study_folder: Path, changes: dict[str, Any], said: str) -> None:
    assert verdict(study_folder, **changes).verdict == said


def test_a_simulated_scene_reproduces_nothing(study_folder: Path) -> None:
    study = read_study(study_folder)
    (found,) = scores(study, read_runs(study), [Published(**TOY)])
    assert found.verdict == "not comparable: the scene is simulated"


def test_methods_that_the_study_lacks_have_no_score(study_folder: Path) -> None:
    study = read_study(study_folder)
    assert list(scores(study, read_runs(study), [Published(**TOY | {"method": "mft"})])) == []


def test_the_scorecard_shows_ours_with_its_interval(fake: Callable[..., Any]) -> None:
    method = dataclasses.replace(fake().methods[1], variant="as-released", name="diffclip")
    study = fake(methods=(method,), scene_name="muufl", simulated=False, shots=(40,), protocols=("paper",), sweeps={})
    folder = study.write()
    assert main(["runs", "--study", str(folder)]) == 0
    assert main(["tables", "--study", str(folder), "--overviews"]) == 0
    with (folder / "tables/scorecard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # The window and the sizes of the toy are not the published ones: that is why, beside what is missing.
    ours = [row for row in rows if row["scene"] == "muufl"]
    assert {row["verdict"] for row in ours} == {"not comparable: window 5, published 11"}
    assert [row["metric"] for row in ours] == ["oa", "aa", "kappa"]
    for row in ours:
        low, high = float(row["95_interval_low"]), float(row["95_interval_high"])
        assert low <= float(row["ours"]) <= high
    text = (folder / "tables/scorecard.md").read_text()
    assert "(second hand)" in text
    assert "With 3 seeds the interval over seeds covers at most 75 %" in text

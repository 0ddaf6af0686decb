"""A study config is read with its defaults, and every mistake in it is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from diffclip.errors import UserError
from diffclip.study.config import Study, load_study, parse_study

PLAIN: dict[str, Any] = {
    "study": "tiny",
    "scenes": ["simulated"],
    "protocols": ["paper"],
    "shots": [2, 5],
    "seeds": 3,
    "methods": {"nearest_mean": None},
}
DIFFCLIP = {"diffclip": {"mine": {"depth": 1}}}


def study(**changes: Any) -> Study:
    return parse_study(PLAIN | changes, "study.yaml")


def mistakes(**changes: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        study(**changes)
    return str(caught.value).splitlines()


def sweep(**changes: Any) -> dict[str, Any]:
    grid = {"methods": DIFFCLIP, "protocols": ["paper"], "shots": [2], "windows": [5, 7]}
    return {"sweeps": {"grid": grid | changes}}


def test_defaults_are_filled_in():
    found = study()
    assert (found.window, found.mask_ratio, found.margin) == (11, 0.7, None)
    assert (found.on_small_class, found.device, found.sweeps) == ("error", "auto", {})


@pytest.mark.parametrize(("given", "read"), [(3, [0, 1, 2]), (1, [0]), ([4, 2], [4, 2])])
def test_a_number_of_seeds_stands_for_the_first_so_many(given, read):
    assert study(seeds=given).seeds == read


@pytest.mark.parametrize("given", [0, -1, [], [1, 1], [-1], "many"])
def test_seeds_that_are_none_are_refused(given):
    (line,) = mistakes(seeds=given)
    assert line.startswith("study.yaml: seeds")
    if not isinstance(given, list):
        assert line == f"study.yaml: seeds: found {given!r}; expected a number of seeds, 1 or more, or a list of them"


def test_scenes_without_official_masks_are_refused_under_the_standard_protocol():
    expected = "protocols: found standard, and no train_labels and test_labels in config/scenes/simulated.yaml"
    (line,) = mistakes(protocols=["paper", "standard"], scenes=["houston2013", "simulated"])
    assert line.startswith(f"study.yaml: {expected}; expected scenes with official masks, or another protocol")
    (line,) = mistakes(**sweep(protocols=["standard"]))
    assert expected in line
    assert study(protocols=["standard"], scenes=["houston2013"]).cells()


def test_a_gpu_is_called_cuda():
    (line,) = mistakes(device="gpu")
    assert line.endswith("(did you mean 'cuda'?)")


def test_a_method_without_variants_is_its_default_and_a_variant_without_options_its_own():
    found = study(methods={"nearest_mean": None, "svm": {"means": None, "raw": {"features": "spectra"}}})
    assert found.methods == {"nearest_mean": {"default": {}}, "svm": {"means": {}, "raw": {"features": "spectra"}}}
    assert list(found.rows()) == [("nearest_mean", "default"), ("svm", "means"), ("svm", "raw")]


def test_every_mistake_is_told_at_once_with_a_hint():
    lines = mistakes(
        shot=[1],
        scenes=["simulatd"],
        shots=[0],
        window=10,
        methods={"svn": None, "svm": {"raw": {"featurs": "spectra"}}, "nearest_mean": {"half": {"use_aux": "maybe"}}},
        sweeps={"grid": {"methods": {"difclip": None}, "protocols": ["papper"], "shots": [2]}},
    )
    expected = (
        "study.yaml: shot: unknown key (did you mean 'shots'?)",
        "study.yaml: scenes.0: unknown scene 'simulatd' (did you mean 'simulated'?)",
        "study.yaml: shots.0: found 0; ",
        "study.yaml: window: found 10; expected an odd number",
        "study.yaml: methods.svn: unknown method (did you mean 'svm'?)",
        "study.yaml: methods.svm.raw: featurs: unknown key (did you mean 'features'?)",
        "study.yaml: methods.nearest_mean.half: use_aux: found 'maybe'; ",
        "study.yaml: sweeps.grid.methods.difclip: unknown method (did you mean 'diffclip'?)",
        "study.yaml: sweeps.grid.protocols.0: found 'papper'; ",
    )
    for start in expected:
        assert [line for line in lines if line.startswith(start)], (start, lines)
    assert len(lines) == len(expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shots": [2, 5, 2]}, "shots: 2 is named twice"),
        ({"shots": [2, "2"]}, "shots: 2 is named twice"),
        ({"scenes": ["simulated", "simulated"]}, "scenes: simulated is named twice"),
        ({"protocols": ["paper", "paper"]}, "protocols: paper is named twice"),
        ({"seeds": [0, 1, 0]}, "seeds: 0 is named twice"),
    ],
)
def test_a_value_named_twice_is_refused(changes, said):
    (line,) = mistakes(**changes)
    assert line.startswith(f"study.yaml: {said}; expected every value once")


@pytest.mark.parametrize(
    ("key", "found"),
    [("shots", [True]), ("seeds", [True]), ("window", True), ("mask_ratio", False), ("margin", True)],
)
def test_a_truth_value_is_no_number(key, found):
    (line,) = mistakes(**{key: found})
    assert line.startswith(f"study.yaml: {key}")
    assert "expected a number" in line


def test_mask_ratios_that_a_folders_name_would_round_are_refused():
    (line,) = mistakes(mask_ratio=1 / 3)
    assert line.startswith("study.yaml: mask_ratio: found 0.333333333")
    assert "expected at most six digits, such as 0.333333" in line
    (line,) = mistakes(**sweep(mask_ratios=[0.3333331, 0.333333]))
    assert line.startswith("study.yaml: sweeps.grid.mask_ratios.0: found 0.3333331; expected at most six digits")
    assert study(**sweep(mask_ratios=[0.333333, 0.333334, 0.1, 1e-7])).cells()


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "10"},
        {"window": 0},
        {"window": -3},
        {"mask_ratio": 1.0},
        {"mask_ratio": -0.1},
        {"margin": 0},
        {"shots": [[1, 2]]},
        {"shots": []},
        {"scenes": "simulated"},
        {"methods": {}},
        {"methods": ["svm"]},
        {"methods": {"svm": ["means"]}},
        {"methods": {"svm": {"a/b": {"features": "means"}}}},
        {"study": "No Name"},
        {"device": "gpu"},
        {"protocols": ["random"]},
        sweep(windows=[5, 6]),
        {"sweeps": {"one_two": sweep()["sweeps"]["grid"]}},
    ],
)
def test_a_wrong_value_is_one_mistake(changes):
    (key,) = changes
    (line,) = mistakes(**changes)
    assert line.startswith(f"study.yaml: {key}")


@pytest.mark.parametrize("key", list(PLAIN))
def test_a_missing_key_is_named(key):
    with pytest.raises(UserError, match=rf"^study.yaml: {key}: missing; expected a value$"):
        parse_study({name: value for name, value in PLAIN.items() if name != key}, "study.yaml")


def test_cells_are_every_combination_once_in_the_order_of_the_config():
    found = study(protocols=["paper", "strict"], methods={"nearest_mean": None, "svm": {"spectra": None}})
    cells = found.cells()
    assert len(cells) == len(set(cells)) == 2 * 2 * 2
    assert [cell.method for cell in cells] == ["nearest_mean"] * 4 + ["svm"] * 4
    assert {(cell.window, cell.mask_ratio) for cell in cells} == {(None, None)}


def test_a_method_takes_just_the_axes_that_it_turns():
    variants = {"mine": {"depth": 1}, "plain": {"depth": 1, "pretrain": "none"}}
    cells = study(shots=[2], methods={"nearest_mean": None, "diffclip": variants}).cells()
    assert [(cell.method, cell.variant, cell.window, cell.mask_ratio) for cell in cells] == [
        ("nearest_mean", "default", None, None),
        ("diffclip", "mine", 11, 0.7),
        ("diffclip", "plain", 11, None),
    ]


def test_a_method_without_the_swept_axes_appears_once():
    methods = {"diffclip": {"plain": {"pretrain": "none"}}, "svm": {"spectra": None}}
    grid = sweep(methods=methods, windows=[5, 7], mask_ratios=[0.3, 0.5])
    swept = [cell for cell in study(**grid).cells() if cell.method != "nearest_mean"]
    assert [(cell.method, cell.window, cell.mask_ratio) for cell in swept] == [
        ("diffclip", 5, None),
        ("diffclip", 7, None),
        ("svm", None, None),
    ]


def test_a_sweep_adds_only_cells_that_are_new():
    alone = study(methods=DIFFCLIP, window=7)
    swept = study(methods=DIFFCLIP, window=7, **sweep(mask_ratios=[0.7, 0.9]))
    assert set(alone.cells()) < set(swept.cells())
    new = set(swept.cells()) - set(alone.cells())
    assert {(cell.window, cell.mask_ratio) for cell in new} == {(5, 0.7), (5, 0.9), (7, 0.9)}
    assert len(swept.cells()) == len(set(swept.cells()))


def test_a_sweep_without_an_axis_takes_the_studys():
    found = study(methods={"nearest_mean": None}, mask_ratio=0.4, **sweep(windows=None))
    assert {(cell.window, cell.mask_ratio) for cell in found.cells() if cell.method == "diffclip"} == {(11, 0.4)}


def test_a_variant_with_two_meanings_is_refused_by_name():
    lines = mistakes(methods=DIFFCLIP, **sweep(methods={"diffclip": {"mine": {"depth": 2}}}))
    assert lines == [
        "study.yaml: sweeps.grid.methods.diffclip.mine: found options that differ from the study's diffclip.mine; "
        "expected the same, or another name"
    ]


def test_two_sweeps_cannot_give_a_variant_two_meanings_either():
    one, two = (sweep(methods={"diffclip": {"mine": {"depth": depth}}})["sweeps"]["grid"] for depth in (1, 2))
    (line,) = mistakes(sweeps={"one": one, "two": two})
    assert line.startswith("study.yaml: sweeps.two.methods.diffclip.mine: found options that differ")


def test_the_margin_is_the_least_at_which_no_windows_overlap():
    assert study(methods=DIFFCLIP, window=9, protocols=["strict"]).strict_margin() == 9
    grid = sweep(windows=[13], protocols=["strict"])
    assert study(methods=DIFFCLIP, window=5, protocols=["strict"], **grid).strict_margin() == 13
    assert study(protocols=["strict"]).strict_margin() == 1
    assert study(methods=DIFFCLIP, window=9, margin=20, protocols=["strict"]).strict_margin() == 20


def test_a_margin_too_small_for_a_row_is_refused_with_its_name():
    (line,) = mistakes(methods=DIFFCLIP, window=9, margin=8, protocols=["strict"])
    assert line.startswith("study.yaml: margin: found 8, expected at least 9: diffclip.mine looks 4 pixels far")
    assert study(methods=DIFFCLIP, window=9, margin=8, protocols=["paper"]).margin == 8
    assert study(methods=DIFFCLIP, window=9, margin=9, protocols=["strict"]).strict_margin() == 9


def test_another_scene_to_learn_from_must_have_a_card():
    (line,) = mistakes(methods={"diffclip": {"far": {"pretrain_scene": "muufl-corp"}}})
    assert line.startswith("study.yaml: diffclip.far: stage 1: unknown scene 'muufl-corp' (did you mean 'muufl-crop'?)")
    study(methods={"diffclip": {"far": {"pretrain_scene": "muufl-crop"}}})


def test_a_window_that_tokens_do_not_fill_is_refused_once_for_each_window():
    lines = mistakes(
        methods={"diffclip": {"mine": {"token_size": 5}}},
        window=15,
        **sweep(methods={"diffclip": {"mine": {"token_size": 5}}}, windows=[5, 7, 9], shots=[2, 3]),
    )
    assert lines == [
        f"study.yaml: diffclip.mine: token_size: found 5, expected a divisor of the window {window}"
        for window in (7, 9)
    ]


def test_a_method_that_looks_at_validation_labels_goes_with_protocol_paper_alone():
    methods = {"diffclip": {"as-released": None}}
    (line,) = mistakes(methods=methods, protocols=["paper", "strict"])
    assert line == (
        "study.yaml: diffclip.as-released: found protocol strict, expected paper alone: it looks at validation labels"
    )
    study(methods=methods)
    study(protocols=["paper", "strict"], **sweep(methods=methods))


def test_a_config_is_read_from_its_file_and_single_keys_overridden(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(PLAIN))
    assert load_study(path) == study()
    assert load_study(path, {"seeds": 1, "window": 5}) == study(seeds=1, window=5)
    with pytest.raises(UserError, match=rf"^{path}: widow: unknown key \(did you mean 'window'\?\)"):
        load_study(path, {"widow": 5})


def test_only_what_runs_under_strict_sets_its_margin() -> None:
    wide = {"methods": {"two_branch_cnn": None}, "protocols": ["paper"], "shots": [2], "windows": [15]}
    found = study(methods={"two_branch_cnn": None}, protocols=["strict"], window=5, sweeps={"wide": wide})
    assert found.strict_margin() == 5


INSPECTABLE = {"diffclip": {"mine": {"depth": 1}, "plain": {"pretrain": "none"}}, "nearest_mean": None}


def test_rows_of_the_study_and_of_a_sweep_can_be_inspected():
    asked = {"methods": {"diffclip": ["mine", "swept"]}, "protocol": "paper", "shots": 5, "seed": 2}
    found = study(methods=INSPECTABLE, inspect=asked, **sweep(methods={"diffclip": {"swept": {"depth": 2}}}))
    assert [(cell.variant, cell.shots, cell.window) for cell in found.inspected()] == [
        ("mine", 5, 11),
        ("swept", 5, 11),
    ]
    assert study().inspected() == []


def test_what_cannot_be_inspected_is_told_at_once_with_what_can():
    asked = {"methods": {"diffclip": ["mini", "plain"]}, "protocol": "strict", "shots": 3, "seed": 7}
    expected = (
        "study.yaml: inspect.protocol: found 'strict', expected one of the study's: paper",
        "study.yaml: inspect.shots: found 3, expected one of the study's: 2, 5",
        "study.yaml: inspect.seed: found 7, expected one of the study's: 0, 1, 2",
        "study.yaml: inspect.methods.diffclip: mini is no row of the study (did you mean 'diffclip.mine'?); "
        "expected some of: diffclip.mine",
        "study.yaml: inspect.methods.diffclip: plain has no pretraining to inspect",
    )
    lines = mistakes(methods=INSPECTABLE, inspect=asked)
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_a_misspelt_key_of_inspect_gets_a_hint():
    asked = {"methods": {"diffclip": ["mine"]}, "protocl": "paper", "shots": 5, "seed": 2}
    assert any("protocl: unknown key (did you mean 'protocol'?)" in line for line in mistakes(inspect=asked))

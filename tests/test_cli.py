"""The command line makes files, says what it made, and tells errors in clear lines."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from diffclip.cli import main
from diffclip.embedded.recipe import Recipe
from diffclip.embedded.store import measured_in
from diffclip.errors import UserError


class Said(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def diffclip(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return `diffclip(*words)`, which runs the command line in this process."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["diffclip", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Said(stop.value.code or 0, printed.out, printed.err)

    return run


def run_words(card: Path, out: Path, *more: object) -> list[object]:
    return ["run", "--scene", card, "--method", "nearest_mean", "--shots", 3, "--out", out, *more]


def test_run_makes_a_cell_and_says_where_its_records_lie(diffclip, tiny_card, tmp_path):
    said = diffclip(
        *run_words(tiny_card, tmp_path, "--seeds", "0-1", "--options", "{use_aux: false}", "--variant", "hsi")
    )
    assert said.status == 0
    lines = said.out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["seed 0", "seed 1"]
    for line in lines:
        path = Path(line.split()[-1])
        record = json.loads(path.read_text())
        assert path.parent == tmp_path / "records/tiny/paper/nearest_mean/hsi/shots-3"
        assert record["identity"]["scene"] == "tiny"
        assert record["options"]["use_aux"] is False
        assert f"OA {record['metrics']['oa']:.2f}" in line


def test_run_keeps_what_is_up_to_date_but_makes_it_look_fresh(diffclip, tiny_card, tmp_path):
    words = run_words(tiny_card, tmp_path)
    path = Path(diffclip(*words).out.split()[-1])
    before, time = path.read_bytes(), path.stat().st_mtime_ns
    diffclip(*words)
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns > time


def test_run_passes_window_and_ratio_only_to_methods_that_turn_them(diffclip, tiny_card, tmp_path):
    said = diffclip(*run_words(tiny_card, tmp_path, "--window", 5, "--mask-ratio", 0.3))
    assert "/shots-3/seed-0.json" in said.out


def test_run_keeps_the_window_as_margin_so_that_all_methods_meet_the_same_strict_split(diffclip, tiny_card, tmp_path):
    said = diffclip(*run_words(tiny_card, tmp_path, "--protocol", "strict", "--window", 3))
    record = json.loads(Path(said.out.split()[-1]).read_text())
    assert record["split"]["margin"] == 3


def test_a_run_that_fails_is_said_and_others_go_on(diffclip, tiny_card, tmp_path, monkeypatch):
    from baselines.nearest_mean import NearestMean

    monkeypatch.setattr(NearestMean, "fit", lambda self, task: 1 / 0)
    said = diffclip(*run_words(tiny_card, tmp_path, "--seeds", "0,2"))
    assert said.status == 0
    assert said.out.count("failed: ZeroDivisionError") == 2


def test_scene_prints_a_summary_and_draws_a_picture(diffclip, tiny_card, tmp_path):
    said = diffclip("scene", tiny_card, "--out", tmp_path)
    assert said.status == 0
    assert said.out.startswith("Tiny (tiny, simulated)\n64 x 64 pixels, 16 bands, 2 rasters\n")
    assert [line[:3] for line in said.out.splitlines()[2:12]] == [f"{k:3d}" for k in range(1, 11)]
    assert (tmp_path / "scenes/tiny/quicklook.png").is_file()


def test_split_writes_what_it_says(diffclip, tiny_card, tmp_path):
    said = diffclip(
        "split", "--scene", tiny_card, "--protocol", "strict", "--shots", 2, "--margin", 3, "--out", tmp_path
    )
    assert said.status == 0
    path = Path(said.out.split()[-1])
    with np.load(path) as stored:
        assert said.out.startswith(f"seed 0: {len(stored['train'])} training, {len(stored['test'])} test pixels")
        assert stored["margin"] == 3


@pytest.mark.parametrize(("words", "margin"), [(["--window", 5], 5), (["--window", 7, "--margin", 2], 2)])
def test_splits_tasks_and_runs_keep_the_same_margin_by_default(diffclip, tiny_card, tmp_path, words, margin):
    common = ("--scene", tiny_card, "--protocol", "strict", "--shots", 2, "--out", tmp_path, *words)
    path = Path(diffclip("split", *common).out.split()[-1])
    drawn = path.read_bytes()
    with np.load(path) as stored:
        assert stored["margin"] == margin
    assert diffclip("task", *common).status == 0
    assert diffclip("run", "--method", "nearest_mean", *common).status == 0
    assert path.read_bytes() == drawn


@pytest.mark.parametrize("command", ["split", "task"])
def test_a_margin_of_nothing_and_an_even_window_are_refused_by_splits_and_tasks(diffclip, tiny_card, tmp_path, command):
    common = (command, "--scene", tiny_card, "--protocol", "strict", "--shots", 2, "--out", tmp_path)
    assert diffclip(*common, "--margin", 0).err == "error: --margin: found 0, expected at least 1\n"
    assert diffclip(*common, "--window", 4).err == "error: --window: found 4, expected an odd number\n"


def test_methods_lists_every_method_with_readable_options(diffclip):
    said = diffclip("methods")
    assert said.status == 0
    for line in (
        "nearest_mean: Nearest mean",
        "  use_aux: bool = True",
        "  features: spectra | means | emp | emp+means = 'spectra'",
        "  scaling: standard | minmax | minmax-joint | none = 'standard'",
        "  scales: list of int = ",
        "  variants: default, spectra, spectra+aux, means, emp, emp+means",
    ):
        assert [found for found in said.out.splitlines() if found.startswith(line)], line


def test_study_says_what_it_would_run(diffclip):
    said = diffclip("study", "config/quick.yaml")
    assert said.status == 0
    assert said.out.startswith("quick: ")
    assert "  nearest_mean (default): 4 cells" in said.out


def test_schemas_writes_all_that_is_generated(diffclip, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(Path("config/README.md").read_text())
    said = diffclip("schemas", tmp_path, "--readme", readme)
    assert said.status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "record.schema.json",
        "scene-card.schema.json",
        "study.schema.json",
    ]


def test_embed_texts_writes_what_a_machine_without_the_weights_needs(diffclip, tiny_card, tiny_clip, tmp_path):
    said = diffclip(
        *("embed-texts", "--scene", tiny_card, "--clip-model", tiny_clip, "--clip-weights", "random"),
        *("--prompts", "p1,descriptions", "--out", tmp_path / "texts.npz"),
    )
    assert (said.status, said.err) == (0, "")
    assert said.out == f"10 classes x 32 numbers, CLIP weights random: {tmp_path / 'texts.npz'}\n"
    with np.load(tmp_path / "texts.npz") as stored:
        assert stored["names"][:3].tolist() == ["grass", "crops", "trees"]
        assert stored["embeddings"].shape == (10, 32)
        assert (str(stored["weights"]), stored["prompts"].tolist()) == ("random", ["p1", "descriptions"])


def test_embed_texts_explains_weights_that_are_not_there(diffclip, tiny_card, tiny_clip, tmp_path):
    words = ("--clip-model", tiny_clip, "--clip-weights", tmp_path / "absent.pt", "--out", tmp_path / "texts.npz")
    said = diffclip("embed-texts", "--scene", tiny_card, *words)
    assert said.status == 2
    assert "absent.pt: no such file; give a tag with a connection" in said.err
    assert not (tmp_path / "texts.npz").exists()


def test_embedded_clip_trains_it_once_and_says_what_it_knows_against_chance(diffclip, monkeypatch, tmp_path):
    tiny = Recipe(scenes=(90_001, 90_002), side=64, steps=1, batch=8, checked_pixels=2)
    monkeypatch.setattr("diffclip.embedded.store.Recipe", lambda: tiny)
    words = ("embedded-clip", "--device", "cpu", "--out", tmp_path)
    said = diffclip(*words)
    assert said.status == 0
    found = measured_in(tmp_path / "embedded-clip")["zero_shot"]
    accuracy = f"{found['accuracy']:.1f} %, chance 10.0 %"
    assert f"zero-shot accuracy on a fresh simulated scene: {accuracy}\n" in said.out
    assert said.out.count("\n") == 2 + 10
    assert diffclip(*words).out == said.out
    taken = ("embed-texts", "--scene", "simulated", "--clip-weights", tmp_path / "embedded-clip")
    assert "x 64 numbers, CLIP weights embedded (" in diffclip(*taken, "--out", tmp_path / "texts.npz").out


WRONG = {
    "seeds": (["--seeds", "1-0"], "error: --seeds: found '1-0', expected a list or range such as 0,1,2 or 0-9"),
    "open seeds": (["--seeds", "1-"], "error: --seeds: found '1-', expected a list or range"),
    "no seeds": (["--seeds", ""], "error: --seeds: found ''"),
    "odd seeds": (["--seeds", "²"], "error: --seeds: found '²'"),
    "negative seed": (["--seeds=-1"], "error: --seeds: found '-1'"),
    "window": (["--window", 4], "error: --window: found 4, expected an odd number"),
    "ratio": (["--mask-ratio", 1], "error: --mask-ratio: found 1.0, expected 0 <= ratio < 1"),
    "long ratio": (
        ["--mask-ratio", 0.3333333],
        "error: --mask-ratio: found 0.3333333, expected at most six digits, such as 0.333333",
    ),
    "options": (["--options", "use_aux"], "error: --options: found 'use_aux', expected names and values"),
    "no yaml": (["--options", "{"], "error: --options: not valid YAML"),
    "option twice": (
        ["--options", "{use_aux: true, use_aux: false}"],
        "error: --options: use_aux: found on line 1 and again on line 1, expected every key once",
    ),
    "option": (
        ["--options", "{use_au: 1}"],
        "error: method nearest_mean, variant default: use_au: unknown key (did you",
    ),
    "variant": (["--variant", "small"], "error: method nearest_mean, variant small: unknown variant"),
    "variant above": (
        ["--variant", "../../evil", "--options", "{use_aux: false}"],
        "error: --variant: found '../../evil', expected letters, digits, _, ., + and -, no sign first",
    ),
    "variant below": (["--variant", "a/b", "--options", "{use_aux: false}"], "error: --variant: found 'a/b', expected"),
    "no variant": (["--variant", "", "--options", "{use_aux: false}"], "error: --variant: found '', expected"),
    "method": (["--method", "nearest_men"], "error: method: found 'nearest_men' (did you mean 'nearest_mean'?)"),
    "scene": (["--scene", "simulatd"], "error: scene 'simulatd': no such card (did you mean 'simulated'?)"),
    "token size": (
        ["--method", "diffclip", "--window", 5, "--options", "{token_size: 3}", "--variant", "x"],
        "error: method diffclip, variant x: token_size: found 3, expected a divisor of the window 5",
    ),
    "validation": (
        ["--method", "diffclip", "--variant", "as-released", "--protocol", "strict", "--window", 3],
        "error: method diffclip, variant as-released: looks at validation labels: found protocol strict",
    ),
    "margin": (["--protocol", "strict", "--margin", 0], "error: --margin: found 0, expected at least 1"),
    "masks": (
        ["--protocol", "standard"],
        "error: scene tiny: protocol standard: found no official train and test masks",
    ),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_told_clearly_with_status_2_and_no_traceback(diffclip, tiny_card, tmp_path, words, message):
    said = diffclip(*run_words(tiny_card, tmp_path, *words))
    assert said.status == 2
    assert said.out == ""
    errors = said.err[said.err.index("error: ") :]
    assert errors.startswith(message)
    assert "Traceback" not in said.err


def test_debug_shows_where_an_error_comes_from(diffclip, tiny_card, tmp_path, monkeypatch):
    words = run_words(tiny_card, tmp_path, "--window", 4)
    monkeypatch.setattr(sys, "argv", ["diffclip", *map(str, words), "--debug"])
    with pytest.raises(UserError, match="--window: found 4"):
        main()


def test_a_bug_is_one_line_too_and_names_the_way_to_more(diffclip, monkeypatch):
    def broken():
        raise KeyError("oops")

    monkeypatch.setattr("diffclip.protocol.catalogue.method_names", broken)
    said = diffclip("methods")
    assert said.status == 2
    assert said.err == "error: KeyError: 'oops' (--debug shows where)\n"


MISUSE = {
    "command": (["runs"], "No such command"),
    "option": (["run", "--sene", "x"], "--sene"),
    "missing": (["run", "--scene", "simulated"], "--method"),
    "shots": (["split", "--scene", "simulated", "--protocol", "paper", "--shots", 0], "--shots"),
    "protocol": (["split", "--scene", "simulated", "--protocol", "random", "--shots", 1], "--protocol"),
    "device": (["run", "--scene", "simulated", "--method", "svm", "--device", "gpu"], "--device"),
}


@pytest.mark.parametrize(("words", "named"), MISUSE.values(), ids=MISUSE)
def test_misuse_of_the_command_line_has_status_2_and_names_the_word(diffclip, words, named):
    said = diffclip(*words)
    assert said.status == 2
    assert named in said.err
    assert "Traceback" not in said.err


def test_pretraining_of_a_method_without_is_an_error(diffclip, tiny_card, tmp_path):
    said = diffclip("pretrain", "--scene", tiny_card, "--method", "nearest_mean", "--out", tmp_path)
    assert (said.status, said.err) == (2, "error: method nearest_mean, variant default: needs no pretraining\n")


def test_a_wrong_study_is_told_line_by_line(diffclip, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("study: x\nscenes: [simulatd]\nprotocols: [paper]\nshots: [1]\nseeds: 1\nmethods: {svn: }\n")
    said = diffclip("study", path)
    assert said.status == 2
    assert len(said.err.splitlines()) == 2
    assert f"{path}: scenes.0: unknown scene 'simulatd' (did you mean 'simulated'?)" in said.err
    assert f"{path}: methods.svn: unknown method (did you mean 'svm'?)" in said.err


def test_estimate_tells_hours_and_disk_and_what_was_never_measured(diffclip):
    table = "results/published/muufl-crop/runs.csv.gz"
    said = diffclip("estimate", "--configfile", "config/muufl-crop.yaml", "--measured", table)
    assert said.status == 0
    (nearest,) = (line for line in said.out.splitlines() if line.startswith("nearest_mean"))
    assert "(12)" in nearest
    assert f"measured in: {table}" in said.out


def test_estimate_tells_of_each_sum_how_many_runs_it_is_of_and_what_is_left_out(diffclip, tmp_path):
    study, table = tmp_path / "study.yaml", tmp_path / "runs.csv"
    methods = "{svm: {means: }, nearest_mean: , lda: }"
    study.write_text(f"study: x\nscenes: [simulated]\nprotocols: [paper]\nshots: [2]\nseeds: 3\nmethods: {methods}\n")
    heads = "scene,status,method,protocol,shots,window,train_pixels,test_pixels,parameters,options,device,device_name"
    rows = [
        f"simulated,ok,{method},paper,2,,20,100,,{{}},{device},Some,,36,0"
        for method, device in (("svm", "cpu"), ("nearest_mean", "cpu"), ("svm", "cuda"))
    ]
    table.write_text("\n".join([f"{heads},pretrain_seconds,fit_seconds,predict_seconds", *rows]))
    lines = diffclip("estimate", "--configfile", study, "--measured", table).out.splitlines()
    (total,) = (line for line in lines if line.startswith("all that were measured"))
    assert re.split(r"  +", total) == ["all that were measured", "6 of 9", "0.06 for 6 runs", "0.03 for 3 runs"]
    assert "never measured with these options, and not in the hours: lda (default)" in lines
    assert "not measured on Some (cuda), and not in its hours: nearest_mean (default)" in lines
    assert not [line for line in lines if line.startswith("not measured on Some (cpu)")]
    table.write_text(f"{heads},pretrain_seconds,fit_seconds,predict_seconds\n")
    said = diffclip("estimate", "--configfile", study, "--measured", table).out
    assert "disk: not known, as no run was measured\n" in said
    assert "0 of 9" in said
    assert "mean is taken" not in said


def test_a_new_baseline_runs_at_once_and_is_not_written_twice(diffclip, tiny_card, tmp_path, monkeypatch):
    import baselines
    from diffclip.protocol.catalogue import method_names

    monkeypatch.setattr(baselines, "__path__", [str(tmp_path / "mine"), *baselines.__path__])
    method_names.cache_clear()
    try:
        assert diffclip("new-baseline", "of_mine").status == 0
        method_names.cache_clear()
        said = diffclip(*run_words(tiny_card, tmp_path, "--method", "of_mine"))
        assert "OA " in said.out
        again = diffclip("new-baseline", "of_mine")
        assert (again.status, again.err) == (
            2,
            "error: name: found 'of_mine', which is there already; expected a new one\n",
        )
        assert "found 'Mine', expected lower-case letters" in diffclip("new-baseline", "Mine").err
        for name in ("true", "none", "null", "yes"):
            assert f"found {name!r}, which is a value in Python or YAML" in diffclip("new-baseline", name).err
    finally:
        monkeypatch.undo()
        method_names.cache_clear()


def test_a_new_scene_is_a_card_that_loads(diffclip, tmp_path, scene_of):
    scene = scene_of(np.repeat([[1, 2]], 6, axis=0).repeat(4, axis=1).astype(np.int16))
    (tmp_path / "files").mkdir()
    np.savez(tmp_path / "files/all.npz", cube=scene.hsi, dsm=scene.aux / 3, labels=scene.labels)
    words = ("new-scene", "harbour", "--folder", tmp_path / "files", "--cards", tmp_path)
    assert diffclip(*words).out == f"{tmp_path / 'harbour.yaml'}\nnext: diffclip scene {tmp_path / 'harbour.yaml'}\n"
    said = diffclip("scene", tmp_path / "harbour.yaml", "--out", tmp_path / "out")
    assert "6 x 8 pixels, 2 bands, 1 rasters" in said.out
    assert "is there already; expected a new name" in diffclip(*words).err


def test_a_new_scene_among_the_cards_is_named_as_studies_do(diffclip, tmp_path, scene_of, monkeypatch):
    scene = scene_of(np.repeat([[1, 2]], 6, axis=0).repeat(4, axis=1).astype(np.int16))
    np.savez(tmp_path / "all.npz", cube=scene.hsi, dsm=scene.aux / 3, labels=scene.labels)
    monkeypatch.chdir(tmp_path)
    assert diffclip("new-scene", "harbour", "--folder", ".").out.endswith("next: diffclip scene harbour\n")

"""Methods are found by their files' names; wrong names and options are told at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from diffclip.errors import UserError
from diffclip.protocol import catalogue
from diffclip.protocol.catalogue import find_method, make_method, method_names, module_name
from diffclip.protocol.method import Method

NEWCOMER = """
from dataclasses import dataclass
from typing import Literal
from diffclip.protocol.method import Method

class Newcomer(Method):
    title = "Newcomer"
    variants = {"wide": {"width": 64, "mode": "b"}}

    @dataclass(frozen=True)
    class Options:
        width: int = 8
        mode: Literal["a", "b"] = "a"
        rate: float = 0.1
        scales: tuple[int, ...] = (1, 3)

        def __post_init__(self):
            if self.width % 2:
                raise ValueError(f"width: found {self.width}, expected an even number")

    def fit(self, task): ...
    def predict(self, pixels): ...
"""


def forget() -> None:
    for cached in (catalogue.method_names, catalogue.find_method, catalogue._options_model):
        cached.cache_clear()


@pytest.fixture
def add_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return `add(name, text)`: one more file among the baselines."""
    import baselines

    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])

    def add(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        forget()

    yield add
    forget()
    for name in tmp_path.glob("*.py"):
        sys.modules.pop(f"baselines.{name.stem}", None)


def test_every_file_without_an_underscore_is_a_method():
    files = {path.stem for path in Path("baselines").glob("*.py") if not path.stem.startswith("_")}
    assert set(method_names()) == files | {"diffclip", "outside"}
    for name in method_names():
        assert issubclass(find_method(name), Method)
    assert module_name("diffclip") == "diffclip.training.method"


def test_a_new_file_is_a_new_method(add_baseline):
    add_baseline("newcomer", NEWCOMER)
    add_baseline("_shared", "raise ImportError('no method')")
    assert "newcomer" in method_names()
    assert "_shared" not in method_names()
    assert find_method("newcomer").title == "Newcomer"


def test_an_unknown_method_brings_the_nearest_and_all():
    with pytest.raises(UserError, match=r"method: found 'nearest_men' \(did you mean 'nearest_mean'\?\)") as caught:
        make_method("nearest_men")
    assert ", ".join(method_names()) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [("x = 1", "found none"), (NEWCOMER + NEWCOMER.replace("Newcomer", "Second"), "Newcomer, Second")],
)
def test_a_file_without_exactly_one_method_is_refused_by_name(add_baseline, text, found):
    add_baseline("newcomer", text)
    with pytest.raises(UserError, match=rf"newcomer\.py: .*{found}"):
        find_method("newcomer")


def test_a_variant_sets_options_and_options_change_it(add_baseline):
    add_baseline("newcomer", NEWCOMER)
    assert make_method("newcomer").settings() == {"width": 8, "mode": "a", "rate": 0.1, "scales": [1, 3]}
    assert make_method("newcomer", "wide").settings()["width"] == 64
    changed = make_method("newcomer", "wide", {"mode": "a", "scales": [5]}).settings()
    assert changed == {"width": 64, "mode": "a", "rate": 0.1, "scales": [5]}


def test_a_name_of_ones_own_needs_options(add_baseline):
    add_baseline("newcomer", NEWCOMER)
    assert make_method("newcomer", "mine", {"width": 2}).settings()["width"] == 2
    with pytest.raises(
        UserError, match=r"variant wid: unknown variant \(did you mean 'wide'\?\); known: default, wide"
    ):
        make_method("newcomer", "wid")


def test_every_wrong_option_is_told_at_once(add_baseline):
    add_baseline("newcomer", NEWCOMER)
    with pytest.raises(UserError) as caught:
        make_method("newcomer", "mine", {"widht": 2, "mode": "c", "rate": "fast"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("method newcomer, variant mine: ") for line in lines)
    assert any(
        "widht: unknown key (did you mean 'width'?); allowed: width, mode, rate, scales" in line for line in lines
    )
    assert any("mode: found 'c'" in line for line in lines)
    assert any("rate: found 'fast'" in line for line in lines)


def test_a_check_of_the_options_own_is_an_error_of_the_user(add_baseline):
    add_baseline("newcomer", NEWCOMER)
    with pytest.raises(UserError, match="method newcomer, variant mine: width: found 3, expected an even number"):
        make_method("newcomer", "mine", {"width": 3})


@pytest.mark.parametrize(
    ("options", "key"), [({"width": True}, "width"), ({"rate": False}, "rate"), ({"scales": [1, True]}, r"scales\.1")]
)
def test_a_truth_value_is_no_number(add_baseline, options, key):
    add_baseline("newcomer", NEWCOMER)
    with pytest.raises(UserError, match=f"variant mine: {key}: found (True|False); expected a number"):
        make_method("newcomer", "mine", options)


def test_a_truth_value_is_none_of_several_types_either():
    with pytest.raises(UserError, match="variant mine: reach: found True; expected a number"):
        make_method("outside", "mine", {"reach": True})
    assert make_method("outside", "mine", {"reach": "scene", "transductive": True}).options.transductive

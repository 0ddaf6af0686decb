"""Everything wrong with a file is told at once, with the key, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from diffclip.errors import UserError
from diffclip.validation import read_yaml, validated


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    colour: Literal["red", "green"] = "red"
    length: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _fits(self):
        if self.colour == "green" and self.length > 5:
            raise ValueError("green parts are at most 5 long")
        return self


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    parts: dict[str, Part] = {}
    spare: list[Part] = []


def lines_of(found: dict) -> list[str]:
    with pytest.raises(UserError) as caught:
        validated(Whole, found, "file.yaml")
    return str(caught.value).splitlines()


def test_what_is_right_passes():
    assert validated(Whole, {"title": "x", "parts": {"a": {"length": 2}}}, "file.yaml").parts["a"].length == 2


def test_every_error_is_told_at_once():
    lines = lines_of({"titel": "x", "parts": {"a": {"length": 0}}, "spare": [{"colour": "blue"}]})
    assert len(lines) == 4
    assert all(line.startswith("file.yaml: ") for line in lines)


def test_a_missing_key_is_named():
    assert lines_of({}) == ["file.yaml: title: missing; expected a value"]


def test_an_unknown_key_brings_the_nearest_and_all_allowed():
    (line,) = lines_of({"title": "x", "pats": {}})
    assert line == "file.yaml: pats: unknown key (did you mean 'parts'?); allowed: title, parts, spare"


@pytest.mark.parametrize(
    ("found", "key"),
    [({"parts": {"a": {"lenght": 1}}}, "parts.a.lenght"), ({"spare": [{"lenght": 1}]}, "spare.0.lenght")],
)
def test_a_nested_unknown_key_brings_the_keys_of_its_own_level(found, key):
    (line,) = lines_of({"title": "x", **found})
    assert line == f"file.yaml: {key}: unknown key (did you mean 'length'?); allowed: colour, length"


def test_a_nested_key_called_like_one_above_still_brings_its_own_level():
    (line,) = lines_of({"title": "x", "parts": {"spare": {"lenght": 1}}})
    assert "allowed: colour, length" in line


def test_a_wrong_choice_brings_the_nearest():
    (line,) = lines_of({"title": "x", "parts": {"a": {"colour": "gren"}}})
    assert line.startswith("file.yaml: parts.a.colour: found 'gren'; ")
    assert "'red' or 'green'" in line
    assert line.endswith("(did you mean 'green'?)")


def test_a_wrong_value_is_shown_with_what_is_expected():
    (line,) = lines_of({"title": "x", "parts": {"a": {"length": 0}}})
    assert line == "file.yaml: parts.a.length: found 0; input should be greater than or equal to 1"


def test_a_check_over_several_keys_does_not_repeat_them_all():
    (line,) = lines_of({"title": "x", "parts": {"a": {"colour": "green", "length": 6}}})
    assert line == "file.yaml: parts.a: green parts are at most 5 long"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"- a\n- b\n", "found list, expected a mapping"),
        (b"", "found NoneType, expected a mapping"),
        (b"a: [1\n", "not valid YAML"),
        (b"a: \xff\xfe\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_refused_by_name(tmp_path: Path, content, expected):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))


def test_every_key_that_is_given_twice_is_refused_with_its_lines(tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text(
        "methods:\n  svm: {emp: }\n  lda: {}\n  'svm': {spectra: , spectra: }\nlist:\n- a: 1\n  a: 1\nmethods: {}\n"
    )
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(caught.value).splitlines() == [
        f"{path}: methods.svm: found on line 2 and again on line 4, expected every key once",
        f"{path}: methods.svm.spectra: found on line 4 and again on line 4, expected every key once",
        f"{path}: list.0.a: found on line 6 and again on line 7, expected every key once",
        f"{path}: methods: found on line 1 and again on line 8, expected every key once",
    ]


def test_a_key_may_stand_in_several_mappings_and_replace_one_that_is_merged_in(tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}\nc: *a\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 1}, "c": {"x": 1, "y": 1}}


def test_json_is_read_with_its_tabs_and_its_lines(tmp_path: Path):
    path = tmp_path / "file.json"
    path.write_text('{\n\t"shots": [2],\n\t"seeds": 3\n}\n')
    assert read_yaml(path) == {"shots": [2], "seeds": 3}
    path.write_text('{\n\t"seeds": 2,\n\t"seeds": 3\n}\n')
    with pytest.raises(UserError, match="seeds: found on line 2 and again on line 3"):
        read_yaml(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")

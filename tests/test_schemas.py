"""What is generated from the types is up to date, and the study configs keep to it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from diffclip.errors import UserError
from diffclip.schemas import readable_type, schemas, with_tables
from diffclip.study.config import Inspection, Study, Sweep, load_study

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
CARDS = sorted((ROOT / "config" / "scenes").glob("*.yaml"))
REMEDY = "run `diffclip schemas`"


def check(schema: str, path: Path) -> None:
    """Raise `WorkflowError` unless a YAML file keeps to a schema."""
    validate(yaml.safe_load(path.read_text()), str(ROOT / "workflow" / "schemas" / schema), set_default=False)


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_in_the_repository_are_those_of_the_types(name):
    assert json.loads((ROOT / "workflow" / "schemas" / name).read_text()) == schemas()[name], REMEDY


def test_no_other_schema_lies_about():
    assert {path.name for path in (ROOT / "workflow" / "schemas").iterdir()} == set(schemas())


def test_the_description_of_configs_holds_the_keys_of_the_types():
    text = (ROOT / "config" / "README.md").read_text()
    assert with_tables(text, "config/README.md") == text, REMEDY
    for key in (*Study.model_fields, *Sweep.model_fields, *Inspection.model_fields):
        assert f"| `{key}` |" in text


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_study_config_keeps_to_the_schema_and_can_be_read(path):
    check("study.schema.json", path)
    load_study(path)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_keeps_to_the_schema(path):
    check("scene-card.schema.json", path)


@pytest.mark.parametrize(
    "changes", [{"shot": [1]}, {"seeds": 0}, {"shots": [0]}, {"protocols": ["random"]}, {"methods": {"svm": ["emp"]}}]
)
def test_the_schema_refuses_what_the_types_refuse(changes, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(CONFIGS[0].read_text()) | deepcopy(changes)))
    with pytest.raises(WorkflowError):
        check("study.schema.json", path)
    with pytest.raises(UserError):
        load_study(path)


def test_every_key_of_a_study_has_a_meaning():
    for model in (Study, Sweep):
        assert all(field.description for field in model.model_fields.values())


def test_a_description_without_a_place_for_a_table_is_refused_by_name():
    with pytest.raises(UserError, match=r"mine\.md: found no lines .*Study"):
        with_tables("# nothing here\n", "mine.md")


@pytest.mark.parametrize(
    ("annotation", "readable"),
    [
        (int, "int"),
        (int | None, "int | null"),
        (Literal["a", "b"], "a | b"),
        (list[int], "list of int"),
        (tuple[int, ...], "list of int"),
        (tuple[int, int, int], "list of int"),
        (Annotated[list[Annotated[float, "x"]], "y"], "list of float"),
        (dict[str, Any], "mapping"),
        (Inspection | None, "mapping | null"),
    ],
)
def test_types_are_written_as_a_reader_of_yaml_thinks_of_them(annotation, readable):
    assert readable_type(annotation) == readable

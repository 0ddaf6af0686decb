"""The source files that decide a result are found, all of them and no others, without importing any."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diffclip.protocol import sources
from diffclip.protocol.sources import source_files, sources_sha256

FILES = {
    "__init__.py": "VERSION = 1\n",
    "method.py": "def fit():\n    from toy import _helper\n    return _helper.VALUE\n",
    "_helper.py": "from .inner.deep import VALUE\n",
    "inner/__init__.py": "",
    "inner/deep.py": "import toy.inner.deepest as d\nimport numpy as np\n\nVALUE = d.VALUE\n",
    "inner/deepest.py": "raise ImportError('read, never imported')\n",
    "other.py": "from toy import method\n",
    "public.py": "from toy import VERSION\n",
}


def forget() -> None:
    for cached in (sources._folder, sources._path, sources._imports, sources._source_files):
        cached.cache_clear()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own in place of the suite's."""
    folder = tmp_path / "toy"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "_PACKAGES", ("toy",))
    forget()
    yield folder
    forget()


def names(folder: Path, module: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in source_files([module])]


def test_helpers_imported_inside_functions_and_by_relative_names_are_found(toy: Path):
    assert names(toy, "toy.method") == ["_helper.py", "inner/deep.py", "inner/deepest.py", "method.py"]


def test_nothing_is_imported_to_find_out(toy: Path):
    source_files(["toy.method"])
    assert not [name for name in sys.modules if name.partition(".")[0] == "toy"]


def test_importers_are_not_part_of_what_they_import(toy: Path):
    assert "other.py" not in names(toy, "toy.method")
    assert "other.py" in names(toy, "toy.other")


def test_a_name_that_the_package_itself_offers_brings_the_package(toy: Path):
    assert names(toy, "toy.public") == ["__init__.py", "public.py"]


def test_a_module_that_does_not_exist_brings_nothing(toy: Path):
    assert source_files(["toy.none", "numpy", "toy.method.fit"]) == []


@pytest.mark.parametrize("edited", ["method.py", "_helper.py", "inner/deepest.py"])
def test_one_changed_byte_anywhere_changes_the_checksum(toy: Path, edited: str):
    before = sources_sha256(["toy.method"])
    assert sources_sha256(["toy.method"]) == before
    path = toy / edited
    path.write_text(path.read_text() + "#")
    assert sources_sha256(["toy.method"]) != before


@pytest.mark.parametrize("edited", ["other.py", "public.py", "__init__.py"])
def test_an_edit_elsewhere_leaves_the_checksum(toy: Path, edited: str):
    before = sources_sha256(["toy.method"])
    (toy / edited).write_text("changed = True\n")
    assert sources_sha256(["toy.method"]) == before


def test_the_checksum_does_not_depend_on_where_the_package_lies(toy: Path, tmp_path, monkeypatch):
    before = sources_sha256(["toy.method"])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    toy.rename(moved / "toy")
    monkeypatch.syspath_prepend(moved)
    forget()
    assert sources_sha256(["toy.method"]) == before


def test_a_methods_sources_hold_its_helpers_and_the_contract_but_no_messages_or_file_writing():
    found = {path.name for path in source_files(["baselines.two_branch_cnn"])}
    assert {"two_branch_cnn.py", "_training.py", "method.py", "task.py", "scene.py", "randomness.py"} <= found
    assert not found & {"errors.py", "files.py", "validation.py", "progress.py", "evaluation.py"}


def test_diffclips_sources_hold_what_its_hooks_import():
    found = {str(path.relative_to(path.parents[2])) for path in source_files(["diffclip.training.method"])}
    assert {f"diffclip/training/{name}.py" for name in ("method", "finetuning", "inference")} <= found
    assert {f"diffclip/model/{name}.py" for name in ("classifier", "encoder")} <= found
    assert "diffclip/__init__.py" not in found


def test_the_suites_own_sources_are_found_without_torch():
    code = (
        "import sys; from diffclip.protocol.sources import sources_sha256;"
        "sources_sha256(['diffclip.training.method', 'baselines.two_branch_cnn']);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""`import diffclip` is light, and its public names are what they say."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import diffclip

HEAVY = (
    "torch",
    "open_clip",
    "sklearn",
    "skimage",
    "scipy",
    "matplotlib",
    "pandas",
    "seaborn",
    "rasterio",
    "snakemake",
)


@pytest.mark.parametrize("statement", ["import diffclip; dir(diffclip); diffclip.__version__", "import diffclip.cli"])
def test_nothing_heavy_is_loaded_before_it_is_needed(statement):
    code = f"import sys; {statement}; sys.exit(', '.join(sorted(set({HEAVY}) & set(sys.modules))) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_only_those_who_need_it_import_open_clip():
    root = Path(diffclip.__file__).parents[1]
    importers = set()
    for path in (path for room in ("diffclip", "baselines", "report") for path in root.joinpath(room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "open_clip" for name in names):
                importers.add(str(path.relative_to(root)))
                assert node.col_offset, f"{path}: import open_clip inside a function: it takes seconds"
    assert importers == {"diffclip/language/clip.py", "diffclip/embedded/training.py"}


@pytest.mark.parametrize("name", [name for name in diffclip.__all__ if name != "__version__"])
def test_a_public_name_is_the_thing_of_its_module(name):
    found = getattr(diffclip, name)
    assert found is getattr(importlib.import_module(found.__module__), name)
    assert found.__name__ == name
    assert name in dir(diffclip)


def test_the_type_checker_sees_the_public_names_that_python_resolves():
    tree = ast.parse(Path(diffclip.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == diffclip._HOMES
    assert sorted([*seen, "__version__"]) == sorted(diffclip.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'diffclip' has no attribute 'load_scenes'"):
        _ = diffclip.load_scenes


def test_the_version_is_the_installed_one():
    assert diffclip.__version__ == importlib.metadata.version("diffclip-bench")

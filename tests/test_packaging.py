"""What is imported is declared, what is declared is pinned, and conda's environment is the same."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())

# conda's name of a package, where it differs
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# the package that a module comes from, where its name differs
PACKAGE = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "open_clip": "open-clip-torch",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    # torch's builds for Linux require the one version that they work with
    "triton": "torch",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements: list[str]) -> list[str]:
    return [normal(re.match(r"[A-Za-z0-9._-]+", requirement)[0]) for requirement in requirements]


RUNTIME = names_of(PROJECT["project"]["dependencies"])
DEVELOPMENT = names_of(PROJECT["dependency-groups"]["dev"])
PINS = [pin.partition("==") for pin in PROJECT["tool"]["uv"]["constraint-dependencies"]]


def environment() -> list[tuple[str, str]]:
    """Return (name, version) of everything in environment.yml but Python and pip, by conda's names."""
    (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    plain = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9A-Za-z.]+", entry) for entry in [*pip, *plain[2:]])
    return [tuple(entry.split("==")) for entry in [*pip, *plain] if entry not in ("python=3.12", "pip")]


def third_party_imports(folder: str) -> dict[str, str]:
    """Return the packages that the sources in `folder` import, each with one file that does."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            for module in modules:
                top = module.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in ("diffclip", "baselines", "report"):
                    found[PACKAGE.get(top, normal(top))] = str(path.relative_to(ROOT))
    return found


@pytest.mark.parametrize("folder", ["diffclip", "baselines", "report"])
def test_every_import_is_a_declared_dependency(folder):
    undeclared = {package: file for package, file in third_party_imports(folder).items() if package not in RUNTIME}
    assert not undeclared


def test_no_dependency_is_declared_twice():
    assert len(set(RUNTIME)) == len(RUNTIME)
    assert len(set(DEVELOPMENT)) == len(DEVELOPMENT)
    assert not set(RUNTIME) & set(DEVELOPMENT)


def test_every_pin_is_one_exact_version_and_made_once():
    names = [normal(name) for name, _, _ in PINS]
    assert sorted(set(names)) == sorted(names)
    for name, separator, version in PINS:
        assert separator, name
        assert re.fullmatch(r"\d[0-9A-Za-z.+]*", version), name


def test_every_direct_dependency_is_pinned_within_its_bounds():
    pins = {normal(name): version for name, _, version in PINS}
    for requirement in [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]:
        (name,) = names_of([requirement])
        assert name in pins
        if bound := re.search(r">=([\d.]+)$", requirement):
            assert numbers(pins[name]) >= numbers(bound[1])


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_condas_environment_holds_the_direct_dependencies_at_their_pins_and_nothing_else():
    pins = {normal(name): version for name, _, version in PINS}
    wanted = {CONDA.get(name, name): pins[name] for name in (*RUNTIME, *DEVELOPMENT)}
    assert len(environment()) == len(dict(environment()))
    assert dict(environment()) == wanted


def test_condas_environment_takes_the_channels_that_have_all():
    assert ENVIRONMENT["name"] == PROJECT["project"]["name"]
    assert ENVIRONMENT["channels"] == ["conda-forge", "bioconda", "nodefaults"]


def test_python_and_torch_are_bounded_as_promised():
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    (torch,) = (found for found in PROJECT["project"]["dependencies"] if found.startswith("torch"))
    assert numbers(re.fullmatch(r"torch>=([\d.]+)", torch)[1]) >= (2, 11)


@pytest.mark.parametrize("file", ["pyproject.toml", "environment.yml"])
def test_no_address_is_written_down(file):
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert not re.search(r"\b[a-z0-9-]+\.(org|com|io|net|dev)\b", text)

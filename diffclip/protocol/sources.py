"""Which source files decide a result: a module and all of ours that it imports, found without importing any."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PACKAGES = ("diffclip", "baselines", "report")
# Messages, checks, file writing and progress: an edit there changes no result, so it must not make every run stale.
_NEVER_DECIDE = frozenset(f"diffclip.{name}" for name in ("errors", "validation", "files", "progress"))


@cache
def _folder(package: str) -> Path | None:
    """Return the folder of a top-level package."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@cache
def _path(module: str) -> Path | None:
    """Return the file of one of our modules, or None when there is no such module."""
    package, *inner = module.split(".")
    if package not in _PACKAGES or module in _NEVER_DECIDE:
        return None
    folder = _folder(package)
    if folder is None:
        return None
    # By file name, not by `find_spec`, which would import everything above the module, and torch with it.
    place = folder.joinpath(*inner)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of ours that `module` names in an import, at its top or inside a function.

    `from package import module` names the module alone: what else the package offers decides nothing here.
    """
    path = _path(module)
    if path is None:
        return frozenset()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            full = [f"{base}.{alias.name}" for alias in node.names]
            named |= {name if _path(name) or name in _NEVER_DECIDE else base for name in full}
    return frozenset(name for name in named if _path(name) is not None)


def source_files(modules: Iterable[str]) -> list[Path]:
    """Return the files of `modules` and of everything of ours that they import, directly or not, sorted."""
    return list(_source_files(tuple(modules)))


# A workflow asks for the sources of every cell, and has few methods.
@cache
def _source_files(modules: tuple[str, ...]) -> tuple[Path, ...]:
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen and _path(module) is not None:
            seen.add(module)
            waiting += _imports(module)
    return tuple(sorted(path for module in seen if (path := _path(module)) is not None))


def sources_sha256(modules: Iterable[str]) -> str:
    """Return one checksum over the contents of `source_files(modules)`."""
    digest = hashlib.sha256()
    for path in source_files(modules):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

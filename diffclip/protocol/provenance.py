"""Where a record comes from: versions, commit, host, time; and checksums of plain values."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_DECIDING = ("numpy", "scipy", "scikit-learn", "scikit-image", "torch", "open_clip_torch", "snakemake")


def sha256_of(values: Mapping[str, Any]) -> str:
    """Return the checksum of plain values (JSON with sorted keys)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=list).encode()).hexdigest()


@cache
def suite_version() -> str:
    """Return the installed version of the suite."""
    return importlib.metadata.version("diffclip-bench")


@cache
def packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in _DECIDING:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_commit() -> str | None:
    """Return the commit of the suite's sources, with "+" when tracked files were changed, or None outside of git."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def host() -> str:
    """Return the machine's name."""
    return platform.node()


def now() -> str:
    """Return the time in UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")

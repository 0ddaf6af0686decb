"""Few-shot classification of hyperspectral + LiDAR scenes: scenes, methods, studies and records.

Public names are resolved on first use, so that `import diffclip` loads nothing heavy.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffclip.protocol.catalogue import find_method, make_method
    from diffclip.protocol.method import Method
    from diffclip.protocol.records import Record, read_record
    from diffclip.protocol.task import FewShotTask
    from diffclip.scene.card import load_card
    from diffclip.scene.load import load_scene
    from diffclip.scene.scene import Imagery, Scene
    from diffclip.study.config import Study, load_study

    __version__: str

_HOMES = {
    "find_method": "diffclip.protocol.catalogue",
    "make_method": "diffclip.protocol.catalogue",
    "Method": "diffclip.protocol.method",
    "Record": "diffclip.protocol.records",
    "read_record": "diffclip.protocol.records",
    "FewShotTask": "diffclip.protocol.task",
    "load_card": "diffclip.scene.card",
    "load_scene": "diffclip.scene.load",
    "Imagery": "diffclip.scene.scene",
    "Scene": "diffclip.scene.scene",
    "Study": "diffclip.study.config",
    "load_study": "diffclip.study.config",
}

__all__ = [
    "FewShotTask",
    "Imagery",
    "Method",
    "Record",
    "Scene",
    "Study",
    "__version__",
    "find_method",
    "load_card",
    "load_scene",
    "load_study",
    "make_method",
    "read_record",
]


def __getattr__(name: str) -> Any:
    """Resolve a public name from the module where it is written."""
    if name == "__version__":
        return importlib.metadata.version("diffclip-bench")
    if name not in _HOMES:
        raise AttributeError(f"module 'diffclip' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

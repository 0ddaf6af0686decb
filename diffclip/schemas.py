"""JSON schemas of study, scene card and record, generated from the types, for editors and for readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffclip.protocol.records import Record
from diffclip.scene.card import card_schema
from diffclip.study.config import Study


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by file name."""
    return {
        "study.schema.json": Study.model_json_schema(),
        "scene-card.schema.json": card_schema(),
        "record.schema.json": Record.model_json_schema(),
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write the schemas and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(json.dumps(schema, indent=2) + "\n")
        paths.append(path)
    return paths

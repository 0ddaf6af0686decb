"""Records of a study -> one tidy `runs.csv`, a row per run; every number is checked on the way.

Records are read as plain JSON: the typed record costs more than reading does, and a study has thousands of them.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffclip.errors import UserError
from diffclip.files import write_atomically
from diffclip.study import layout
from diffclip.study.cells import Cell
from report.checks import (
    COST,
    IDENTITY,
    METRICS,
    PROVENANCE,
    SPLIT,
    TRAITS,
    contradiction,
    missing_key,
    out_of_range,
    refuse_contradictions,
    wrong_kind,
)
from report.statistics.intervals import pixel_errors
from report.study import Study

logger = logging.getLogger(__name__)

# Standard errors over the test pixels.
ERRORS = ("oa_error", "aa_error", "kappa_error")
COLUMNS = (
    "path",
    "status",
    "reason",
    "main",
    "sweeps",
    *IDENTITY,
    *TRAITS,
    *METRICS,
    *ERRORS,
    *SPLIT,
    "skipped_classes",
    *COST,
    "seeds_together",
    "energy_joules",
    *PROVENANCE,
    "fingerprint",
    "options",
    "class_accuracy",
    "class_test_pixels",
)


def collect(study: Study) -> Path:
    """Write `runs.csv` from the records that belong to the study; return its path.

    Raises:
        UserError: a record that is not one, that lies where another run's belongs, or whose numbers contradict each
            other; records of runs that a table would mix though they met other code, another scene or another split.
    """
    rows: list[dict[str, Any]] = []
    ignored = 0
    for path in record_files(study.folder):
        name = path.relative_to(study.folder).as_posix()
        record = _read(path)
        if misplaced := _misplaced(record["identity"], name):
            raise UserError(f"{path}: {misplaced}")
        grids = _grids(study, record["identity"])
        if not grids:
            ignored += 1
            continue
        rows.append(_row(record, name, grids))
    if ignored:
        logger.info("%d records in %s belong to other configs and are left out", ignored, study.folder)
    refuse_contradictions(rows)
    ordered = sorted(rows, key=lambda row: _place(study, row))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    logger.info("%d runs, %d of them failed", len(ordered), sum(row["status"] != "ok" for row in ordered))
    return write_atomically(study.folder / layout.RUNS, lambda file: file.write(text.getvalue().encode()))


def record_files(folder: Path) -> Iterator[Path]:
    """Yield the records below a study's folder, in the order of their names."""
    root = folder / layout.RECORD.partition("/")[0]
    for path in sorted(root.rglob("seed-*.json")):
        # What was measured while a record was made lies beside it, under a longer name.
        if not path.name.endswith(".log.json"):
            yield path


def _misplaced(identity: Mapping[str, Any], path: str) -> str:
    """Say in what a record's identity differs from its place below the study's folder, or return ""."""
    cell = Cell(**{key: identity[key] for key in IDENTITY if key != "seed"})
    expected = cell.record(identity["seed"])
    if path == expected:
        return ""
    return f"identity: found that of {expected}, expected that of its own place; remove one of both or put it right"


def _grids(study: Study, identity: Mapping[str, Any]) -> list[str]:
    """Return the grids that hold a run: "" for the main one, and names of sweeps."""
    if identity["scene"] not in study.scenes or identity["seed"] not in study.seeds:
        return []
    grids = {"": study.main, **study.sweeps}
    return [name for name, grid in grids.items() if grid.holds(identity)]


def _place(study: Study, row: Mapping[str, Any]) -> tuple[Any, ...]:
    order = {found: place for place, found in enumerate(dict.fromkeys(_all_rows(study)))}
    return (
        study.scenes.index(row["scene"]),
        row["protocol"],
        order[row["method"], row["variant"]],
        row["shots"],
        row["window"] or 0,
        row["mask_ratio"] or 0.0,
        study.seeds.index(row["seed"]),
    )


def _all_rows(study: Study) -> Iterator[tuple[str, str]]:
    for grid in (study.main, *study.sweeps.values()):
        yield from grid.rows


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a record: {error}") from None
    if not isinstance(record, dict):
        raise UserError(f"{path}: not a record: found {type(record).__name__}, expected an object")
    try:
        wrong = missing_key(record) or wrong_kind(record) or out_of_range(record) or contradiction(record)
    except (TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a record: a value of the wrong kind: {error}") from None
    if wrong:
        raise UserError(f"{path}: {wrong}")
    return record


def _row(record: Mapping[str, Any], path: str, grids: list[str]) -> dict[str, Any]:
    metrics, split = record["metrics"] or {}, record["split"]
    row = {
        "path": path,
        "main": "" in grids,
        "sweeps": ";".join(name for name in grids if name),
        "skipped_classes": json.dumps(split["skipped_classes"]),
        "options": json.dumps(record["options"]),
        "class_accuracy": json.dumps(metrics.get("per_class", {})),
        "class_test_pixels": json.dumps(split["test_pixels_per_class"]),
    }
    row |= {key: record[key] for key in ("status", "reason", "fingerprint")}
    for block, keys in (("identity", IDENTITY), ("traits", TRAITS), ("split", SPLIT), ("provenance", PROVENANCE)):
        row |= {key: record[block][key] for key in keys}
    row |= {key: metrics.get(key) for key in METRICS}
    if metrics:
        row |= zip(ERRORS, pixel_errors(np.array(record["confusion"])), strict=True)
    cost = record["cost"] or {}
    # Not every record tells of these.
    rare = {"seeds_together": cost.get("seeds_together", 1), "energy_joules": cost.get("energy_joules")}
    return row | {key: cost.get(key) for key in COST} | rare

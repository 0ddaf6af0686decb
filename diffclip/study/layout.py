"""Where each file of a study lies below `results/<study>/`; the one place that knows the names.

The templates serve both the workflow, as patterns with wildcards, and Python, through `str.format`.
"""

from __future__ import annotations

SCENE = "scenes/{scene}/scene.json"
QUICKLOOK = "scenes/{scene}/quicklook.png"
SPLIT = "splits/{scene}/{protocol}/shots-{shots}/seed-{seed}.npz"
CHECKPOINT = "pretrained/{scene}/{checkpoint}/seed-{seed}.safetensors"
EMBEDDED_CLIP = "embedded-clip"
CACHE = "cache"
RECORD = "records/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.json"
TASK_IMAGERY = "tasks/{scene}/imagery.npz"
TASK = "tasks/{scene}/{protocol}/shots-{shots}/seed-{seed}.npz"
ANSWERS = "outside/{program}/{scene}/{protocol}/shots-{shots}/seed-{seed}.csv"
INSPECTION = "inspection/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.npz"
STUDY = "study.json"
RUNS = "runs.csv"
PREDICTIONS = "predictions.csv"
TABLES = "tables"
FIGURES = "figures"
OVERVIEW = TABLES + "/{kind}.{format}"
TABLE = TABLES + "/{scene}_{protocol}_{kind}.{format}"
PAGE = "index.html"
OVERVIEW_FIGURE = FIGURES + "/{kind}.{format}"
FIGURE = FIGURES + "/{scene}_{protocol}_{kind}.{format}"


def log_of(file: str) -> str:
    """Return the file beside `file` that holds what was measured while it was made."""
    return file.rpartition(".")[0] + ".log.json"


def predictions_of(record: str) -> str:
    """Return the file of predictions that lies beside a record."""
    return record.removesuffix(".json") + ".npz"

"""The page of a study: one HTML file that needs nothing beside it, with tables, figures, runs and their origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from diffclip.files import write_atomically
from diffclip.study import layout
from report.captions import seeds_text
from report.page.items import sections
from report.page.provenance import provenance
from report.page.warnings import warnings
from report.study import Study

HERE = Path(__file__).parent
# Of every run, what the panel behind a cell and the table of runs show.
SHOWN = (
    "path",
    "status",
    "main",
    "scene",
    "protocol",
    "method",
    "variant",
    "shots",
    "window",
    "mask_ratio",
    "seed",
    "oa",
    "aa",
    "kappa",
    "seconds",
    "device_name",
    "commit",
    "reason",
)


def make_page(study: Study, runs: pd.DataFrame) -> Path:
    """Write `index.html` of the study from its runs and from the tables and figures that are there; return its path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found, images = sections(study, runs)
    text = templates.get_template("page.html.j2").render(
        study=study,
        seeds=seeds_text(study.seeds),
        good=int((runs["status"] == "ok").sum()),
        total=len(runs),
        names=_names(runs),
        sections=found,
        reduced=images.reduced,
        warnings=warnings(study, runs, found),
        provenance=provenance(study, runs),
        runs=_runs(runs),
        layout=layout,
        style=(HERE / "page.css").read_text(),
        script=(HERE / "page.js").read_text(),
    )
    return write_atomically(study.folder / layout.PAGE, lambda file: file.write(text.encode()))


def _names(runs: pd.DataFrame) -> dict[str, str]:
    """Return titles of scenes and of methods by what `runs.csv` calls them."""
    scenes = dict(zip(runs["scene"], runs["scene_title"], strict=True))
    return {**scenes, **dict(zip(runs["method"], runs["title"], strict=True))}


def _runs(runs: pd.DataFrame) -> str:
    """Return the runs as JSON for the script: names of columns, and a list per run."""
    seconds = runs[["pretrain_seconds", "fit_seconds", "predict_seconds"]].sum(axis=1, min_count=1).round(2)
    shown = runs.assign(
        seconds=seconds,
        commit=runs["commit"].map(lambda commit: commit[:10] + "+" * commit.endswith("+")),
        # Of a traceback, its last line says most.
        reason=runs["reason"].map(lambda text: text.strip().rpartition("\n")[2]),
    )
    rows = [[_plain(value) for value in row] for row in shown[list(SHOWN)].itertuples(index=False, name=None)]
    text = json.dumps({"columns": SHOWN, "rows": rows}, ensure_ascii=False, separators=(",", ":"))
    # Within a page, no text may end the element that holds it.
    return text.replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: nothing for NaN, whole numbers without a point, four digits after one."""
    if not isinstance(value, float):
        return value
    if value != value:
        return None
    return int(value) if value.is_integer() else round(value, 4)

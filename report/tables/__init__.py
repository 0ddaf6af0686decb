"""Tables of a scene under a protocol, each as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from diffclip.files import write_atomically
from diffclip.study import layout
from report.frame import View, view
from report.study import Study, asked
from report.tables.html import html
from report.tables.latex import latex
from report.tables.main import main_table
from report.tables.markdown import markdown
from report.tables.numbers import numbers
from report.tables.per_class import per_class_table
from report.tables.table import Table

KINDS: Mapping[str, Callable[[View], Table]] = {
    "main": main_table,
    "per_class": per_class_table,
}


def make_tables(study: Study, runs: pd.DataFrame, scene: str | None, protocol: str | None) -> Iterator[Path]:
    """Write the tables of every scene under every protocol of the main grid, or of those asked for; yield paths."""
    for found in asked("scene", scene, study.scenes):
        for name in asked("protocol", protocol, study.main.protocols):
            shown = view(study, runs, found, name)
            for kind, build in KINDS.items():
                table = build(shown)
                for form, write in (("md", markdown), ("tex", latex), ("csv", numbers), ("html", html)):
                    path = study.folder / layout.TABLE.format(scene=found, protocol=name, kind=kind, format=form)
                    yield _written(path, write(table))


def _written(path: Path, text: str) -> Path:
    return write_atomically(path, lambda file: file.write(text.encode()))

"""Tables as HTML: well-formed, the same numbers as in Markdown, and every cell names its runs."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from report.__main__ import main
from report.tables.html import body_of


@pytest.fixture(scope="module")
def body(study_folder: Path) -> ElementTree.Element:
    """What the page shows of the main table."""
    assert main(["tables", "--study", str(study_folder)]) == 0
    text = body_of((study_folder / "tables/toy_paper_main.html").read_text())
    return ElementTree.fromstring(f"<body>{text}</body>")


def test_a_cell_names_its_runs_by_table_row_and_column(body: ElementTree.Element) -> None:
    table = body.find("div/table")
    row = next(row for row in table.iter("tr") if row.findtext("th", "").startswith("DiffCLIP"))
    column = table.findall("col")[1]
    named = [json.loads(part.attrib["data-runs"]) for part in (table, row, column)]
    assert named == [
        {"scene": "toy", "protocol": "paper"},
        {"method": "diffclip", "variant": "tuned"},
        {"shots": 2},
    ]

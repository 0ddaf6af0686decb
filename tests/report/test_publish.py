from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffclip.errors import UserError
from report.__main__ import main
from report.frame import read_runs
from report.publish import PAGES, publish, shown
from report.study import read_study

ROOT = Path(__file__).parents[2]


def test_publishing_copies_runs_tables_and_figures_and_fills_the_readme(study_folder: Path, tmp_path: Path) -> None:
    for command in ("runs", "tables", "figures"):
        assert main([command, "--study", str(study_folder)]) == 0
    study = read_study(study_folder)
    table = next((study_folder / "tables").glob("*_main.md"))
    readme = tmp_path / "README.md"
    block = f"<!-- published: {study.folder.name}/tables/{table.name} -->\n{{}}<!-- /published -->\nafter\n"
    readme.write_text("before\n" + block.format("what stood here\n"))
    kept = list(publish(study, tmp_path / "published", [readme]))
    assert {path.suffix for path in kept} == {".json", ".csv", ".md", ".tex", ".png"}
    assert readme.read_text() == "before\n" + block.format(table.read_text())


def test_many_runs_are_published_compressed_and_read_the_same(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(study_folder)
    for command in ("runs", "tables", "figures"):
        assert main([command, "--study", str(study_folder)]) == 0
    monkeypatch.setattr("report.publish.LARGEST", 1000)
    list(publish(study, tmp_path, []))
    published = read_study(tmp_path / study_folder.name)
    assert not (published.folder / "runs.csv").exists()
    assert read_runs(published).equals(read_runs(study))


def test_a_study_without_tables_is_not_published(fake: Callable[..., Any], tmp_path: Path) -> None:
    study_folder = fake().write()
    with pytest.raises(UserError, match="snakemake tables figures"):
        list(publish(read_study(study_folder), tmp_path, [tmp_path / "README.md"]))


def test_nothing_published_is_lost_where_it_cannot_be_made_anew(study_folder: Path, tmp_path: Path) -> None:
    for command in ("runs", "tables", "figures"):
        assert main([command, "--study", str(study_folder)]) == 0
    kept = list(publish(read_study(study_folder), tmp_path, []))
    with pytest.raises(UserError, match="found a published study, expected the folder of its records"):
        list(publish(read_study(tmp_path / study_folder.name), tmp_path, []))
    (study_folder / "runs.csv").rename(study_folder / "elsewhere.csv")
    with pytest.raises(UserError, match=r"runs\.csv: not found; make it with 'snakemake tables figures'"):
        list(publish(read_study(study_folder), tmp_path, []))
    (study_folder / "elsewhere.csv").rename(study_folder / "runs.csv")
    assert all(path.is_file() for path in kept)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_show_the_published_tables_and_nothing_else(page: Path) -> None:
    text = (ROOT / page).read_text()
    assert shown(text, ROOT / "results/published") == text

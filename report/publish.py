"""Keeps a finished study in `results/published/` and shows its tables in the README and the documentation."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from diffclip.errors import UserError
from diffclip.files import write_atomically
from diffclip.study import layout
from report.study import Study

PUBLISHED = Path("results/published")
# Pages that show published tables.
PAGES = tuple(map(Path, ("README.md", "docs/method.md", "docs/rivals.md", "docs/clip-family.md")))
_BLOCK = re.compile(r"(<!-- published: (?P<file>\S+) -->\n)(?P<text>.*?)(<!-- /published -->)", re.DOTALL)
# Vector versions of maps run to megabytes; whoever needs them makes them from the records.
_TABLES, _FIGURES = ("md", "tex", "csv"), ("png",)
# Bytes of a file that a repository keeps without regret.
LARGEST = 200_000


def publish(study: Study, published: Path = PUBLISHED, pages: Sequence[Path] = PAGES) -> Iterator[Path]:
    """Copy what a study shows (runs, tables, figures as PNG) to `published` and bring the pages up to date.

    Raises:
        UserError: the study's runs, tables or figures have not been made, or it is a published one itself.
    """
    target = published / study.folder.name
    if target.resolve() == study.folder.resolve():
        raise UserError(f"{study.folder}: found a published study, expected the folder of its records (results/NAME)")
    shown_files = [study.folder / name for name in (layout.STUDY, *_names(study))]
    for path in (study.folder / layout.RUNS, *shown_files):
        if not path.is_file():
            raise UserError(f"{path}: not found; make it with 'snakemake tables figures'")
    shutil.rmtree(target, ignore_errors=True)
    yield _runs(study.folder / layout.RUNS, target)
    for path in shown_files:
        yield _written(target / path.relative_to(study.folder), path.read_bytes())
    for page in pages:
        yield _written(page, shown(page.read_text(), published).encode())


def _names(study: Study) -> Iterator[str]:
    """Yield the names of the study's tables and figures; what it asked for before may lie beside them."""
    for forms, above, overviews, template, kinds in (
        (_TABLES, layout.OVERVIEW, study.overviews, layout.TABLE, study.tables),
        (_FIGURES, layout.OVERVIEW_FIGURE, study.overview_figures, layout.FIGURE, study.figures),
    ):
        for form in forms:
            yield from (above.format(kind=kind, format=form) for kind in overviews)
            for scene, (protocol, kind) in product(study.scenes, kinds):
                yield template.format(scene=scene, protocol=protocol, kind=kind, format=form)


def _runs(path: Path, target: Path) -> Path:
    """Copy the runs, compressed where they are many: `read_runs` takes either."""
    data = path.read_bytes()
    if len(data) <= LARGEST:
        return _written(target / path.name, data)
    # Without a date, the same runs give the same bytes.
    return _written(target / f"{path.name}.gz", gzip.compress(data, mtime=0))


def _written(path: Path, data: bytes) -> Path:
    return write_atomically(path, lambda file: file.write(data))


def shown(text: str, published: Path = PUBLISHED) -> str:
    """Return a page with every block between `<!-- published: FILE -->` and `<!-- /published -->` filled from FILE.

    A block whose file has not been published stays as it is.
    """

    def filled(block: re.Match[str]) -> str:
        path = published / block["file"]
        return f"{block[1]}{path.read_text()}{block[4]}" if path.is_file() else block[0]

    return _BLOCK.sub(filled, text)

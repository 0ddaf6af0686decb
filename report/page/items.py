"""The tables and figures of a study, in the order in which its page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd

from diffclip.study import layout
from report.captions import heading
from report.frame import view
from report.page.images import Images, Picture
from report.study import Study
from report.tables.html import body_of

# One text of a kind serves Snakemake's report and the page.
TABLES = Path(__file__).parents[2] / "workflow" / "report"
FIGURES = TABLES / "figures"


@dataclass(frozen=True)
class Item:
    """A table or a figure.

    Attributes:
        name: of its files, without their endings.
        title, caption: of its kind.
        html: a table's; "" of a figure.
        image: a figure's; None of a table.
        alt: what an image shows, in words.
        files: (format, path from the page) of the files that hold it.
    """

    name: str
    title: str
    caption: str = ""
    html: str = ""
    image: Picture | None = None
    alt: str = ""
    files: tuple[tuple[str, str], ...] = ()


@dataclass
class Section:
    """A scene under a protocol, or what stands above all of them.

    Attributes:
        name: anchor.
        title: heading.
        tables, figures: what it shows.
        absent: names of files that have not been made.
    """

    name: str
    title: str
    tables: list[Item] = field(default_factory=list)
    figures: list[Item] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def sections(study: Study, runs: pd.DataFrame) -> tuple[list[Section], Images]:
    """Return what the page shows, section by section, and what became of its images."""
    overviews = [(layout.OVERVIEW_FIGURE, {"kind": name}) for name in study.overview_figures]
    drawn = [
        (layout.FIGURE, {"scene": scene, "protocol": protocol, "kind": name})
        for scene in study.scenes
        for protocol, name in study.figures
    ]
    paths = [study.folder / template.format(**names, format="png") for template, names in (*overviews, *drawn)]
    images = Images([path for path in paths if path.is_file()])
    above = Section("all-scenes", "All scenes")
    for name in study.overviews:
        _add_table(study, above, layout.OVERVIEW, {"kind": name})
    for template, names in overviews:
        _add_figure(study, above, images, template, names)
    found = [above]
    for scene in study.scenes:
        for protocol in study.protocols:
            section = Section(f"{scene}_{protocol}", heading(view(study, runs, scene, protocol)))
            here = {"scene": scene, "protocol": protocol}
            for kind in (kind for under, kind in study.tables if under == protocol):
                _add_table(study, section, layout.TABLE, {**here, "kind": kind})
            for template, names in drawn:
                if here.items() <= names.items():
                    _add_figure(study, section, images, template, names)
            found.append(section)
    return [section for section in found if section.tables or section.figures or section.absent], images


def _add_table(study: Study, section: Section, template: str, names: Mapping[str, str]) -> None:
    """Add a table to a section, or what is absent of it; names fill the template of its files, besides the format."""
    files = {form: template.format(**names, format=form) for form in ("html", "csv", "tex", "md")}
    path = study.folder / files.pop("html")
    if not path.is_file():
        section.absent.append(path.name)
        return
    title, _ = titled(names["kind"], TABLES)
    html = body_of(path.read_text())
    section.tables.append(Item(f"table_{path.stem}", title, html=html, files=tuple(files.items())))


def _add_figure(study: Study, section: Section, images: Images, template: str, names: Mapping[str, str]) -> None:
    """Do the same for a figure."""
    files = {form: template.format(**names, format=form) for form in ("pdf", "png")}
    path = study.folder / files["png"]
    if not path.is_file():
        section.absent.append(path.name)
        return
    title, text = titled(names["kind"], FIGURES)
    alt = f"{title}. {section.title}. {text}"
    picture = images.picture(path)
    section.figures.append(Item(f"figure_{path.stem}", title, text, "", picture, alt, tuple(files.items())))


def titled(name: str, folder: Path) -> tuple[str, str]:
    """Return title and text of a table or figure: PROTOCOL_KIND over all scenes, or KIND with a sweep or row after it.

    Names of kinds have underscores and dashes themselves, so a kind is what has a caption.
    """
    protocol, detail, kind = "", "", name
    if not _file(kind, folder).is_file() and _file(kind.rpartition("_")[2], folder).is_file():
        protocol, _, kind = kind.rpartition("_")
    if not _file(kind, folder).is_file():
        kind, _, detail = kind.partition("-")
    title, text = caption(kind, folder)
    return title + (f": {detail}" if detail else "") + (f", {protocol} protocol" if protocol else ""), text


def _file(kind: str, folder: Path) -> Path:
    return folder / f"{kind}.rst"


@lru_cache
def caption(kind: str, folder: Path) -> tuple[str, str]:
    """Return (title, text) of a kind of table or figure: the first line of its caption in the folder, and the rest."""
    title, _, text = _file(kind, folder).read_text().partition("\n")
    return title, " ".join(text.split())

"""The tables and figures of a study, in the order in which its page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd

from diffclip.study import layout
from report.captions import heading
from report.figures import figure_names
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
    caption: str
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
    found = {}
    for scene in study.scenes:
        for protocol in study.protocols:
            title = heading(view(study, runs, scene, protocol))
            found[scene, protocol] = Section(f"{scene}_{protocol}", title)
            for kind in (kind for name, kind in study.tables if name == protocol):
                place = {"scene": scene, "protocol": protocol, "kind": kind}
                _add_table(study, found[scene, protocol], layout.TABLE, place)
    drawn = [(scene, *rest) for scene in study.scenes for rest in figure_names(study)]
    files = {key: study.folder / _figure(*key, "png") for key in drawn}
    images = Images([path for path in files.values() if path.is_file()])
    for key, path in files.items():
        section = found[key[0], key[1]]
        if path.is_file():
            section.figures.append(_drawn(study, section, key, images.picture(path)))
        else:
            section.absent.append(path.name)
    together = Section("all-scenes", "All scenes")
    for name in study.overviews:
        protocol, _, kind = name.rpartition("_")
        _add_table(study, together, layout.OVERVIEW, {"kind": name}, kind, protocol)
    sections = [together, *found.values()]
    return [section for section in sections if section.tables or section.figures or section.absent], images


def _add_table(
    study: Study, section: Section, place: str, names: Mapping[str, str], kind: str = "", detail: str = ""
) -> None:
    """Add a table to a section, or what is absent of it.

    Args:
        study: whose table it is.
        section: is added to.
        place: layout of its files.
        names: what fills the layout, besides the format.
        kind: whose caption it has; default: that in the names, which a sweep's name may follow.
        detail: what its title says besides its kind.
    """
    files = {form: place.format(**names, format=form) for form in ("html", "csv", "tex", "md")}
    path = study.folder / files.pop("html")
    if not path.is_file():
        section.absent.append(path.name)
        return
    if not kind:
        kind, _, detail = names["kind"].partition("-")
    title, _ = caption(kind, TABLES)
    titled = f"{title}: {detail}" if detail else title
    section.tables.append(
        Item(f"table_{path.stem}", titled, "", html=body_of(path.read_text()), files=tuple(files.items()))
    )


def _drawn(study: Study, section: Section, key: tuple[str, str, str], image: Picture) -> Item:
    scene, protocol, name = key
    kind, _, detail = name.partition("-")
    title, text = caption(kind, FIGURES)
    titled = f"{title}: {detail}" if detail else title
    files = tuple((form, _figure(*key, form)) for form in ("pdf", "png"))
    alt = f"{titled}. {section.title}. {text}"
    return Item(f"{scene}_{protocol}_{name}", titled, text, image=image, alt=alt, files=files)


def _figure(scene: str, protocol: str, kind: str, form: str) -> str:
    return layout.FIGURE.format(scene=scene, protocol=protocol, kind=kind, format=form)


@lru_cache
def caption(kind: str, folder: Path) -> tuple[str, str]:
    """Return (title, text) of a kind of table or figure: the first line of its caption in the folder, and the rest."""
    title, _, text = (folder / f"{kind}.rst").read_text().partition("\n")
    return title, " ".join(text.split())

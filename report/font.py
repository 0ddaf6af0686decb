"""The font of all figures: matplotlib's own, without what makes PDFs slow to write and hard to search."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

NAME = "DejaVu Sans Plain"
# Rules for ligatures and for the places of marks, positions of formulas. With a ligature, no reader of a PDF finds
# "DiffCLIP"; and fontTools, which keeps of a font what a figure needs, spends most of its time on these rules. Pairs of
# letters stay as near as they were: "kern" is kept.
RULES = ("GSUB", "GPOS", "GDEF", "MATH", "FFTM")
# Records of the table "name" that hold the family's name and the font's.
FAMILY, UNIQUE, FULL, POSTSCRIPT, TYPOGRAPHIC = 1, 3, 4, 6, 16


@cache
def plain_font() -> str:
    """Make DejaVu Sans without these rules known to matplotlib, for as long as the process lasts; return its name."""
    from fontTools.ttLib import TTFont
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # With the time of saving in it, the same figure would not give the same bytes.
    with TTFont(path, lazy=True, recalcTimestamp=False) as font:
        for rules in RULES:
            if rules in font:
                del font[rules]
        for record in font["name"].names:
            if record.nameID in (FAMILY, UNIQUE, FULL, TYPOGRAPHIC):
                record.string = NAME
            elif record.nameID == POSTSCRIPT:
                record.string = NAME.replace(" ", "")
        folder = tempfile.TemporaryDirectory(prefix="diffclip-font-")
        atexit.register(folder.cleanup)
        plain = Path(folder.name) / "DejaVuSansPlain.ttf"
        font.save(plain, reorderTables=False)
    fontManager.addfont(plain)
    return NAME

"""A table as LaTeX with booktabs, to be put into a paper."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from report.summary import Summary, Typical
from report.tables.table import TIED, Cell, Column, Mark, Table, Words

T = TypeVar("T")

# Widths in points, as measured in Computer Modern: the text of a page with margins of an inch, a letter at
# \scriptsize, a number with its deviation at \tiny, "(2 of 3)" at \tiny, the gap between columns.
PAGE, LETTER, NUMBER, RUNS, GAP = 469.0, 3.8, 44.0, 24.0, 6.0
# Rows that fit a page between its caption and its notes, headings of blocks included; rows of a heading; letters of a
# line of words.
ROWS, HEAD, WRAP = 52, 3, 34
# Size of \tiny against \scriptsize, and a little more.
TINY = 0.78
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    # After the end of a row these would be read as options of it.
    "[": "{[}",
    "*": "{*}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "–": "--",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "§": r"$^{\S}$",
    "¶": r"$^{\P}$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "→": r"$\to$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "…": r"\dots{}",
    "—": "---",
    "‐": "-",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "·": r"$\cdot$",
    "°": r"$^{\circ}$",
    "\u00a0": "~",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "ȷ": r"\j{}",
}
_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho varsigma sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_SPECIAL |= {
    letter: rf"$\{name}$" for letter, name in zip("αβγδεζηθικλμνξπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _NAMES.split(), strict=True)
}
# Combining marks: the commands that set them, as far as LaTeX has them for its usual fonts; those below the letter.
_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0331"
_ACCENTS = dict(zip(_MARKS, "`'^~=u.\"rHvdcb", strict=True))
_BELOW = "dcb"
_RAISED = {"<super>": "^", "<sub>": "_"}


def latex(table: Table) -> str:
    """Return `table*` environments: too wide a table continues in blocks, too long a one in another."""
    blocks, size = _blocks(table, 1.0), r"\scriptsize"
    if len(blocks) > 1 and any(column.words for column in table.columns):
        # A sentence reads badly in another block than the numbers that it is about.
        blocks, size = _blocks(table, TINY), r"\tiny"
    # As many whole blocks as fit a page; one that does not fit is cut.
    parts = [replace(table, lines=tuple(lines)) for lines in _even(table.lines, ROWS - HEAD)]
    pages = [(part, some) for some in _even(blocks, max(1, ROWS // (len(table.lines) + HEAD))) for part in parts]
    last = len(pages) - 1
    floats = [
        _float(part, some, size, place > 0, table.notes if place == last else ())
        for place, (part, some) in enumerate(pages)
    ]
    return "\n".join(["% needs \\usepackage{booktabs}", *floats])


def _even(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Return the items in as few pieces of similar length as hold `most` each; of no items, one empty piece."""
    size = max(1, -(-len(items) // max(1, -(-len(items) // most))))
    return [items[start : start + size] for start in range(0, max(len(items), 1), size)]


def _float(table: Table, blocks: Sequence[Sequence[int]], size: str, continued: bool, notes: Sequence[str]) -> str:
    width = max(len(block) for block in blocks)
    stub = "l" + "r" * (len(table.stub) - 1)
    name = [rf"\caption{{{escape(table.caption)}}}", rf"\label{{{table.label.replace('_', '-')}}}"]
    parts = [
        r"\begin{table*}[tbp]",
        r"\centering",
        *([r"\addtocounter{table}{-1}", r"\caption{Continued.}"] if continued else name),
        r"\par\smallskip",
        size,
        r"\setlength{\tabcolsep}{2.8pt}",
        rf"\begin{{tabular}}{{@{{}}{stub}{'r' * width}@{{}}}}",
        r"\toprule",
    ]
    for place, block in enumerate(blocks):
        if place:
            parts += [r"\midrule[\heavyrulewidth]"]
        parts += [*_head(table, block), r"\midrule", *_body(table, block)]
    parts += [r"\bottomrule", r"\end{tabular}"]
    if notes:
        lines = r" \\ ".join(escape(note) for note in notes)
        parts += [r"\par\smallskip", r"\begin{minipage}{\textwidth}\raggedright", lines, r"\end{minipage}"]
    return "\n".join([*parts, r"\end{table*}", ""])


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters, and letters beyond ASCII, written as LaTeX wants them.

    Letters that LaTeX has no command for, of other scripts, stay: whoever has their fonts can set them.
    """
    composed = unicodedata.normalize("NFC", text)
    return "".join(_SPECIAL.get(character) or _letter(character) for character in composed)


def _letter(character: str) -> str:
    """Return a character by LaTeX's commands where these make it from others; one that they do not make stays."""
    tag, *parts = ["", *unicodedata.decomposition(character).split()]
    if parts and parts[0].startswith("<"):
        tag = parts.pop(0)
    letters = [chr(int(part, 16)) for part in parts]
    # What LaTeX writes as mathematics is within it already where it is raised.
    written = "".join(map(escape, letters))
    if tag in _RAISED:
        written = written.replace("$", "")
    if tag in _RAISED and written.isascii():
        return f"${_RAISED[tag]}{_braced(written)}$"
    if tag and written.isascii():
        return written
    if len(letters) == 2 and letters[1] in _ACCENTS and (base := escape(letters[0])).isascii():
        accent = _ACCENTS[letters[1]]
        # The dot of an i makes way for an accent above it.
        base = rf"\{base}" if base in ("i", "j") and accent not in _BELOW else base
        return rf"\{accent}{{{base}}}" if accent.isalpha() else rf"\{accent}{_braced(base)}"
    return character


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


def _blocks(table: Table, scale: float) -> list[list[int]]:
    """Return places of columns block by block: as few blocks of similar size as fit the page, groups together."""
    columns = table.columns
    places = range(len(columns))
    groups = [list(found) for _, found in groupby(places, key=lambda place: columns[place].group or place)]
    widths = [_width(table, place) for place in places]
    stubs = [max([len(head), *(len(line.stub[at]) for line in table.lines)]) for at, head in enumerate(table.stub)]
    room = PAGE / scale - sum(LETTER * letters + GAP for letters in stubs)
    blocks: list[list[int]] = []
    for count in range(1, len(groups) + 1):
        size = -(-len(groups) // count)
        starts = range(0, len(groups), size)
        blocks = [[place for group in groups[start : start + size] for place in group] for start in starts]
        if all(sum(widths[place] for place in block) <= room for block in blocks):
            break
    return blocks


def _width(table: Table, place: int) -> float:
    """Estimate the width of a column, in points."""
    column = table.columns[place]
    heading = LETTER * max(map(len, column.label.split(" (")))
    return max([heading, *(_cell_width(line.cells[place], column) for line in table.lines)]) + GAP


def _cell_width(cell: Cell, column: Column) -> float:
    if isinstance(cell, Words):
        return LETTER * max(map(len, _wrapped(cell.text)))
    runs = 0.0 if cell.complete else RUNS
    if isinstance(cell, Summary) or cell.centre is None:
        return NUMBER + runs
    return LETTER * (len(f"{cell.centre:.{column.decimals}f}") + TINY * len(cell.spread(column.decimals))) + runs


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WRAP) or [""]


def _head(table: Table, block: Sequence[int]) -> list[str]:
    """Return the heading rows of a block; groups get a line of their own with rules below."""
    first = len(table.stub) + 1
    groups, rules = [], []
    for group, found in groupby(block, key=lambda place: table.columns[place].group):
        size = len(list(found))
        groups.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(group)}}}" if group else " & " * (size - 1))
        if group:
            rules.append(rf"\cmidrule(lr){{{first}-{first + size - 1}}}")
        first += size
    labels = [_label(table.columns[place]) for place in block]
    head = _row([*map(escape, table.stub), *labels])
    if not any(table.columns[place].group for place in block):
        return [head]
    return [_row([*[""] * len(table.stub), *groups]), "".join(rules), head]


def _label(column: Column) -> str:
    """Return a heading that breaks before its parenthesis, as names of variants are long; of words, to the left."""
    name, parenthesis, variant = column.label.partition(" (")
    if not parenthesis:
        text = escape(column.label)
        return rf"\multicolumn{{1}}{{l}}{{{text}}}" if column.words else text
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{escape(name)}\\({escape(variant)}\end{{tabular}}"


def _body(table: Table, block: Sequence[int]) -> list[str]:
    rows = []
    for place, line in enumerate(table.lines):
        if line.after_rule and place:
            rows.append(r"\midrule")
        marked = list(line.marked)
        cells = (_cell(*marked[place], table.columns[place]) for place in block)
        rows.append(_row([*map(escape, line.stub), *cells]))
    return rows


def _cell(cell: Cell, mark: Mark, column: Column) -> str:
    if isinstance(cell, Words):
        text, *more = map(escape, _wrapped(cell.text))
        if more:
            text = r"\begin{tabular}[t]{@{}l@{}}" + r"\\".join([text, *more]) + r"\end{tabular}"
        return rf"\multicolumn{{1}}{{l}}{{{text}}}" if column.words else text
    runs = "" if cell.complete else rf"{{\tiny\,({cell.n} of {cell.expected})}}"
    return _number(cell, mark, column.decimals) + runs


def _number(cell: Summary | Typical, mark: Mark, decimals: int) -> str:
    if cell.centre is None:
        return "--"
    text, spread = f"{cell.centre:.{decimals}f}", cell.spread(decimals)
    tied = rf"{text}\,{escape(TIED)}"
    marked = {"best": rf"\textbf{{{text}}}", "highest": rf"\underline{{{text}}}", "tied": tied, "": text}[mark]
    return rf"{marked}\,{{\tiny{escape(spread.replace('± ', '±'))}}}" if spread else marked


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"

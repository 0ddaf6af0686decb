"""A table as LaTeX with booktabs, to be put into a paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from report.summary import Summary
from report.tables.table import DECIMALS, Line, Mark, Table

# Widths in points, as measured in Computer Modern: the text of a two-column page, a letter at \scriptsize, a number
# with its deviation at \tiny, "(2 of 3)" at \tiny, the gap between columns.
PAGE, LETTER, NUMBER, RUNS, GAP = 504.0, 3.5, 40.0, 24.0, 6.0
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
    "κ": r"$\kappa$",
    "–": "--",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "§": r"$^{\S}$",
}


def latex(table: Table) -> str:
    """Return a `table*` environment; tables that are too wide continue in blocks below each other."""
    blocks = _blocks(table)
    width = max(len(block) for block in blocks)
    stub = "l" + "r" * (len(table.stub) - 1)
    parts = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table*}[tbp]",
        r"\centering",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{{table.label.replace('_', '-')}}}",
        r"\par\smallskip",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{2.8pt}",
        rf"\begin{{tabular}}{{@{{}}{stub}{'r' * width}@{{}}}}",
        r"\toprule",
    ]
    for place, block in enumerate(blocks):
        if place:
            parts += [r"\midrule[\heavyrulewidth]"]
        parts += [*_head(table, block), r"\midrule", *_body(table, block)]
    parts += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines = r" \\ ".join(escape(note) for note in table.notes)
        parts += [r"\par\smallskip", r"\begin{minipage}{\textwidth}\raggedright", lines, r"\end{minipage}"]
    return "\n".join([*parts, r"\end{table*}", ""])


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters, and ours beyond ASCII, written as LaTeX wants them."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _blocks(table: Table) -> list[list[int]]:
    """Return places of columns block by block: as few blocks of similar size as fit the page, groups together."""
    columns = table.columns
    places = range(len(columns))
    named = all(column.group for column in columns)
    groups = [list(found) for _, found in groupby(places, key=lambda place: columns[place].group if named else place)]
    widths = [_width(table, place) for place in places]
    stubs = [max(len(head), *(len(line.stub[at]) for line in table.lines)) for at, head in enumerate(table.stub)]
    room = PAGE - sum(LETTER * letters + GAP for letters in stubs)
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
    incomplete = any(not line.cells[place].complete for line in table.lines)
    heading = max(map(len, table.columns[place].label.split(" (")))
    return max(LETTER * heading, NUMBER + incomplete * RUNS) + GAP


def _head(table: Table, block: Sequence[int]) -> list[str]:
    """Return the heading rows of a block; groups get a line of their own with rules below."""
    first = len(table.stub) + 1
    groups, rules = [], []
    for group, found in groupby(block, key=lambda place: table.columns[place].group):
        size = len(list(found))
        groups.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(group)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + size - 1}}}")
        first += size
    labels = [_stacked(table.columns[place].label) for place in block]
    head = _row([*map(escape, table.stub), *labels])
    if not any(table.columns[place].group for place in block):
        return [head]
    return [_row([*[""] * len(table.stub), *groups]), "".join(rules), head]


def _stacked(label: str) -> str:
    """Return a heading that breaks before its parenthesis, as names of variants are long."""
    name, parenthesis, variant = label.partition(" (")
    if not parenthesis:
        return escape(label)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{escape(name)}\\({escape(variant)}\end{{tabular}}"


def _body(table: Table, block: Sequence[int]) -> list[str]:
    rows = []
    for line in table.lines:
        if line.after_rule:
            rows.append(r"\midrule")
        rows.append(_row([*map(escape, line.stub), *(_cell(line, place) for place in block)]))
    return rows


def _cell(line: Line, place: int) -> str:
    cell = line.cells[place]
    runs = "" if cell.complete else rf"{{\tiny\,({cell.n} of {cell.expected})}}"
    return _number(cell, line.marks[place]) + runs


def _number(cell: Summary, mark: Mark) -> str:
    if cell.mean is None:
        return "--"
    mean = f"{cell.mean:.{DECIMALS}f}"
    marked = {"best": rf"\textbf{{{mean}}}", "second": rf"\underline{{{mean}}}", "": mean}[mark]
    return marked if cell.std is None else rf"{marked}\,{{\tiny$\pm${cell.std:.{DECIMALS}f}}}"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"

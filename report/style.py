"""How all figures look: sizes, colours and markers of methods, titles, notes, and writing the files."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from diffclip.files import write_atomically
from report.captions import heading
from report.font import plain_font
from report.frame import Entry, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = 7.0  # width of a paper's page in inches
POINT = 1 / 72
NOTE_SIZE = 7.0
TITLE_SIZE = 9.0  # as in the style file
GREY = "#767676"
# Width of a letter of the font against its size, on average and a little more.
LETTER = 0.56
# A legend's letters in points, as in the style file, and its rows in inches.
LEGEND_SIZE, LEGEND_ROW = 7.0, 0.15
BESIDE = 1.15  # how far an axis of shots reaches beyond the least and the most

# Paul Tol's "muted" scheme and black, in an order that keeps neighbours apart in hue and in lightness.
COLOURS = (
    "#332288",
    "#cc6677",
    "#117733",
    "#88ccee",
    "#882255",
    "#ddaa33",
    "#44aa99",
    "#000000",
    "#aa4499",
    "#999933",
    "#6699cc",
    "#994455",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "h", ">", "p")
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes: each pair of methods differs in at least two of the three."""

    colour: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]]


def look(place: int) -> Look:
    """Return the look of the line at a place in the order of the config; it is the same in all figures."""
    return Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


def looks(entries: Sequence[Entry]) -> dict[tuple[str, str], Look]:
    """Return the looks of methods by (method, variant)."""
    return {entry.row: look(place) for place, entry in enumerate(entries)}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and write with the style file, whatever the reader's own settings are."""
    from matplotlib import rc_context, rcdefaults

    with rc_context():
        rcdefaults()
        with rc_context({"font.family": plain_font()}, fname=Path(__file__).with_name("style.mplstyle")):
            yield


def new_figure(view: View, what: str, width: float, height: float, notes: Sequence[str]) -> Figure:
    """Return a figure titled "WHAT, SCENE, PROTOCOL" with its notes below.

    Args:
        view: the scene (said to be simulated where it is) and the protocol.
        what: what is shown.
        width: in inches.
        height: of all but the notes and the title, in inches.
        notes: paragraphs; empty ones are left out.
    """
    title = [f"{what}: {heading(view)}"]
    if len(title[0]) * TITLE_SIZE * LETTER * POINT > width:
        title = [what, heading(view)]
    return overview_figure("\n".join(title), width, height, notes)


def overview_figure(title: str, width: float, height: float, notes: Sequence[str]) -> Figure:
    """Return a figure with a title of its own, for what is no scene's alone; arguments as for `new_figure`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    letters = int(width / (NOTE_SIZE * LETTER * POINT))
    lines = [line for note in notes if note for line in textwrap.wrap(note, letters)]
    below = (len(lines) * NOTE_SIZE * 1.35 + 4) * POINT if lines else 0.0
    total = height + below + ((1 + title.count("\n")) * TITLE_SIZE * 1.3 + 4) * POINT
    engine = ConstrainedLayoutEngine(rect=(0, below / total, 1, 1 - below / total))
    figure = Figure(figsize=(width, total), layout=engine)
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for place, line in enumerate(reversed(lines)):
        height = (5 + place * NOTE_SIZE * 1.35) * POINT
        figure.text(4 * POINT / width, height / total, line, fontsize=NOTE_SIZE, color="#404040", va="baseline")
    return figure


def empty_figure(view: View, what: str, note: str) -> Figure:
    """Return a figure that says why there is nothing to show."""
    figure = new_figure(view, what, PAGE, 1.2, [])
    figure.text(0.5, 0.4, note, ha="center", va="center", color=GREY)
    return figure


def legend_columns(names: Sequence[str], width: float, sample: float) -> int:
    """Return how many columns of a legend fit a width in inches, with `sample` points for what stands before a name."""
    widest = (max(map(len, names)) * LEGEND_SIZE * LETTER + sample) * POINT
    return max(1, min(len(names), int(width / widest)))


def mark_shots(axes: Axes, shots: Sequence[int], width: float) -> None:
    """Make an axis of shots, `width` inches long: logarithmic, with a tick at each and a number where there is room."""
    from matplotlib import rcParams

    axes.set_xscale("log", base=2)
    axes.set_xlim(shots[0] / BESIDE, shots[-1] * BESIDE)
    doubling = width / math.log2(shots[-1] / shots[0] * BESIDE**2)
    letter = rcParams["xtick.labelsize"] * LETTER * POINT
    labels, end = [], -math.inf
    for label in map(str, shots):
        centre, half = math.log2(int(label)) * doubling, len(label) * letter / 2
        fits = centre - half > end
        labels.append(label if fits else "")
        end = centre + half + letter / 2 if fits else end
    axes.set_xticks(shots, labels=labels)
    axes.minorticks_off()


def save(figure: Figure, path: Path) -> Iterator[Path]:
    """Write the figure as PDF and PNG to a path that ends with ".{format}"; yield their paths.

    The same figure gives the same bytes.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not axis.get_label_text():
                # Else all ticks are measured to find the place of nothing.
                axis.set_label_coords(0.5, 0.5)
    # The layout is found once, and both files share it. Canvases are asked themselves: savefig would draw each file
    # twice, the first time only to find a layout.
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for form, write in (("pdf", _write_pdf), ("png", _write_png)):
        yield write_atomically(Path(str(path).replace("{format}", form)), partial(write, figure))


def _write_pdf(figure: Figure, file: BinaryIO) -> None:
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None})


def _write_png(figure: Figure, file: BinaryIO) -> None:
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(rcParams["savefig.dpi"])
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}, pil_kwargs={"compress_level": 3})

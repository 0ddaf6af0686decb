"""Which mean is best, as far as the runs can tell, and what the notes below a table must say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from report.statistics.intervals import LEVEL, coverage_limit
from report.statistics.paired import ALPHA, Highest, highest, pairs_needed, smallest_p
from report.tables.table import DECIMALS, TIED, Line, Mark, Words

Found = tuple[tuple[Mark, ...], Highest | None]


def marks(values: Float[np.ndarray, "m n"], competes: Sequence[bool]) -> Found:
    """Mark the highest mean and those that the test does not tell from it; return what was compared, too.

    Args:
        values: accuracy per method and seed; NaN where a run is missing.
        competes: which methods do; controls do not.
    """
    found = highest(np.where(np.array(competes, dtype=bool)[:, None], values, np.nan))
    shown: list[Mark] = [""] * len(values)
    if found is not None:
        shown[found.place] = "best" if found.supported else "highest"
        means = np.nanmean(values[[found.place, *found.tied]], axis=1)
        for place, mean in zip(found.tied, means[1:], strict=True):
            # Numbers that are printed alike stand alike.
            same = round(float(mean), DECIMALS) == round(float(means[0]), DECIMALS)
            shown[place] = "highest" if same else "tied"
    return tuple(shown), found


def mark_notes(found: Sequence[Highest | None], direction: str, controls: bool = True) -> list[str]:
    """Explain bold, underlined and tied; say what so few pairs cannot decide and what they could have shown.

    Args:
        found: what was compared, column by column or row by row.
        direction: "per column" or "per row".
        controls: whether the table has controls, which do not count.
    """
    compared = [one for one in found if one is not None]
    if not compared:
        return []
    pairs = _span([one.pairs for one in compared])
    rest = "; controls do not count" if controls else ""
    test = f"exact Wilcoxon signed-rank test over {pairs} paired splits, Holm-corrected, {ALPHA:.0%}"
    notes = []
    if any(one.supported for one in compared):
        notes.append(f"Bold: best {direction}, supported against every other ({test}){rest}.")
    if not all(one.supported for one in compared):
        notes.append(
            f"Underlined: highest mean {direction} that is not supported against every other; {TIED}: not told from "
            f"it, a tie ({test}){rest}."
        )
    silent = [one for one in compared if not one.decidable]
    if silent:
        least = min(one.pairs for one in silent)
        family = max(len(one.against) for one in silent)
        notes.append(
            f"{least} pairs cannot decide: the smallest p that they can reach is {smallest_p(least):.3g}, before "
            f"correction for {family} comparison{'s' * (family > 1)}; {pairs_needed(family)} pairs or more could."
        )
    shown = [other.detectable for one in compared for other in one.against.values() if np.isfinite(other.detectable)]
    if shown:
        low, middle, high = np.quantile(shown, [0.0, 0.5, 1.0])
        notes.append(
            "Smallest true difference to the highest mean that these seeds could have shown (80 % power, uncorrected): "
            f"{low:.1f} to {high:.1f} points, median {middle:.1f}."
        )
    return notes


def run_notes(lines: Sequence[Line]) -> list[str]:
    """Explain "k of N runs" where it occurs."""
    cells = [cell for line in lines for cell in line.cells]
    if any(not isinstance(cell, Words) and not cell.complete for cell in cells):
        return ["k of N runs: the others are missing or failed; such a mean is not compared with complete ones."]
    return []


def coverage_notes(counts: Iterable[int], what: str = "runs") -> list[str]:
    """Say where so few runs or pairs keep a bootstrap interval over seeds from covering what it claims.

    Args:
        counts: how many runs or pairs are behind each interval that is shown.
        what: what they are.
    """
    fewest = min((count for count in counts if count > 1), default=0)
    if not fewest or coverage_limit(fewest) >= LEVEL:
        return []
    limit = f"{100 * coverage_limit(fewest):.3g}"
    return [f"With {fewest} {what} the interval over seeds covers at most {limit} %; six or more can reach 95 %."]


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"

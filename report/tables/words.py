"""Numbers as cells of words: intervals, p values, counts."""

from __future__ import annotations

import math

from report.statistics.intervals import Interval
from report.tables.table import Words

NOTHING = Words("–", "")


def number(value: float | None, form: str = ".2f") -> Words:
    """Return a number in a format, or a dash."""
    if value is None or math.isnan(value):
        return NOTHING
    return Words("∞" if math.isinf(value) else format(value, form).replace("-", "−"), float(value))


def interval(span: Interval | None, form: str = ".1f") -> Words:
    """Return "84.1 to 89.9", or a dash."""
    if span is None:
        return NOTHING
    return Words(f"{span.low:{form}} to {span.high:{form}}".replace("-", "−"), span)


def p_value(p: float) -> Words:
    """Return "0.031" or "<0.001"."""
    return Words("<0.001" if p < 0.001 else f"{p:.3f}", p)

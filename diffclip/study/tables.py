"""Which tables a study has: what the workflow asks for and the report makes, told by the study alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Of every scene under every protocol of the main grid.
MAIN = ("main", "intervals", "comparisons", "per_class", "classes", "cost")
ABLATION, PROMPTS, SWEEP, LEAKAGE, DROP = "ablation", "prompts", "sweep", "leakage", "drop"
DATA_SETS, SCORECARD, RANKS = "data-sets", "scorecard", "ranks"
LEAKY, APART = "paper", "strict"


def scene_tables(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (protocol, kind) of every table that each scene has.

    Args:
        study: as in `study.json`: keys `methods`, `protocols`, `sweeps`.
    """
    kinds = [*MAIN, *([ABLATION] if ablated(study) else []), *([PROMPTS] if prompted(study) else [])]
    found = [(protocol, kind) for protocol in study["protocols"] for kind in kinds]
    if LEAKY in study["protocols"]:
        found.append((LEAKY, LEAKAGE))
    if {LEAKY, APART} <= set(study["protocols"]):
        found.append((APART, DROP))
    found += [
        (protocol, f"{SWEEP}-{name}") for name, sweep in study["sweeps"].items() for protocol in sweep["protocols"]
    ]
    return found


def study_tables(study: Mapping[str, Any]) -> list[str]:
    """Return the names of the tables over all scenes of a study."""
    return [DATA_SETS, SCORECARD, *(f"{protocol}_{RANKS}" for protocol in study["protocols"])]


def ablated(study: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the methods of several variants with these; the first variant is the one that others depart from."""
    return {method: tuple(variants) for method, variants in study["methods"].items() if len(variants) > 1}


def prompted(study: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the methods with variants that speak of prompts, by name or option, after their first variant."""
    return {
        method: (variants[0], *spoken)
        for method, variants in ablated(study).items()
        if (spoken := tuple(_speaking(variants[1:], study["methods"][method])))
    }


def _speaking(variants: tuple[str, ...], options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for variant in variants:
        if "prompt" in variant or any("prompt" in option for option in options[variant]):
            yield variant

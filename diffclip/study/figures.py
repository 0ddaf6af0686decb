"""Which figures a study has, as the workflow asks for them and the report draws them; from the study's words alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diffclip.study.tables import LEAKY, RANKS

# Of every scene under every protocol.
MAIN = ("shots", "maps", "errors", "confusion", "cost")
# Of every scene, once: random splits against the others.
LEAKAGE = "leakage"
SWEEP = "sweep"
# Of every inspected run; a figure's name ends with its method and variant.
INSPECTED = ("reconstruction", "losses", "tsne")
KINDS = (*MAIN, LEAKAGE, SWEEP, *INSPECTED)


def scene_figures(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (protocol, name) of every figure that each scene has; what follows a dash in a name is a sweep or a row.

    Args:
        study: as in `study.json`: keys `protocols`, `sweeps`, `inspect`.
    """
    swept = [
        (protocol, f"{SWEEP}-{name}") for name, sweep in study["sweeps"].items() for protocol in sweep["protocols"]
    ]
    main = [(protocol, kind) for protocol in study["protocols"] for kind in MAIN]
    leakage = [(LEAKY, LEAKAGE)] if LEAKY in study["protocols"] else []
    return [*main, *leakage, *swept, *_inspected(study["inspect"])]


def _inspected(asked: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if asked is None:
        return
    for method, variants in asked["methods"].items():
        for variant in variants:
            yield from ((asked["protocol"], f"{kind}-{method}-{variant}") for kind in INSPECTED)


def study_figures(study: Mapping[str, Any]) -> list[str]:
    """Return the names of the figures over all scenes of a study: "PROTOCOL_KIND"."""
    return [f"{protocol}_{RANKS}" for protocol in study["protocols"]]

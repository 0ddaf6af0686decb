"""Cells: the entries of a table, each with all its seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from diffclip.study import layout

ProtocolName = Literal["paper", "standard", "strict"]

# Variants become names of folders.
VARIANT_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"


def fits_in_a_name(mask_ratio: float) -> bool:
    """Return whether the six digits of a folder's name tell a mask ratio apart from all others."""
    return float(f"{mask_ratio:g}") == mask_ratio


@dataclass(frozen=True)
class Cell:
    """One entry of a table, over all its seeds.

    Attributes:
        scene: name of a scene card.
        protocol: "paper", "standard" or "strict".
        method: a method's file name.
        variant: a named set of its options.
        shots: labelled training pixels per class.
        window: side of the window in pixels, or None where the method has none.
        mask_ratio: share of hidden tokens in stage 1, or None where the method hides none.
    """

    scene: str
    protocol: ProtocolName
    method: str
    variant: str
    shots: int
    window: int | None = None
    mask_ratio: float | None = None

    @property
    def point(self) -> str:
        """The cell's place on the numeric axes, as a folder's name: "shots-10_window-11_mask-0.7"."""
        parts = [f"shots-{self.shots}"]
        if self.window is not None:
            parts.append(f"window-{self.window}")
        if self.mask_ratio is not None:
            parts.append(f"mask-{self.mask_ratio:g}")
        return "_".join(parts)

    def record(self, seed: int | str) -> str:
        """Return where the record of one seed lies below the study's folder."""
        return layout.RECORD.format(**self.wildcards(), seed=seed)

    def wildcards(self) -> dict[str, Any]:
        """Return the values that fill the layout's templates, besides the seed."""
        return {**vars(self), "point": self.point}

"""Figures as data within the page, kept within a size that a phone can open."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# All images of a page together, and one alone, in bytes before base64 adds a third.
MOST_TOGETHER, MOST_EACH = 12_000_000, 600_000
# No image gets narrower than this, in pixels; the page links to the whole one.
LEAST_WIDTH = 700
COLOURS = 256


@dataclass(frozen=True)
class Picture:
    """An image within the page: its `data:` address, and its size in pixels."""

    address: str
    width: int
    height: int


class Images:
    """Images of a page; those that are too large are made smaller, all alike, and said to be."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Plan for all images of the page, as what one may take depends on how many there are."""
        self.most = min(MOST_EACH, MOST_TOGETHER // max(1, len(paths)))
        self.reduced = 0

    def picture(self, path: Path) -> Picture:
        """Return a PNG file as part of the page, with fewer colours or pixels where it is too large."""
        data = path.read_bytes()
        if len(data) > self.most:
            self.reduced += 1
            data = self._smaller(path)
        # The header of a PNG tells its size in the same place in every file.
        width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
        return Picture(f"data:image/png;base64,{base64.b64encode(data).decode()}", width, height)

    def _smaller(self, path: Path) -> bytes:
        from PIL import Image

        with Image.open(path) as opened:
            whole = opened.convert("RGB")
        image, data = whole, b""
        while True:
            written = io.BytesIO()
            image.quantize(COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
            data = written.getvalue()
            width = int(image.width * 0.8)
            if len(data) <= self.most or width < LEAST_WIDTH:
                return data
            image = whole.resize((width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS)

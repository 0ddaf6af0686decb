"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)

_LINE_EVERY = 15.0  # seconds between lines in a log
_BAR_EVERY = 0.5  # seconds between new numbers beside a bar


class Progress:
    """Counts `total` steps of `what`; `note` adds what was measured last.

    Use as `for step in progress: ...; progress.note(loss=...)`.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what = what
        self.total = total
        self._values: dict[str, Any] = {}

    def __iter__(self) -> Iterator[int]:
        start = said = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            bar = tqdm(range(self.total), desc=self.what, leave=False, file=sys.stderr)
            for step in bar:
                yield step
                if time.monotonic() - said >= _BAR_EVERY:
                    said = time.monotonic()
                    bar.set_postfix_str(self._noted(), refresh=False)
            return
        for step in range(self.total):
            yield step
            now = time.monotonic()
            if now - said >= _LINE_EVERY:
                said = now
                log.info("%s: %d of %d, %.0f s %s", self.what, step + 1, self.total, now - start, self._noted())
        log.info("%s: %d steps in %.1f s %s", self.what, self.total, time.monotonic() - start, self._noted())

    def note(self, **values: Any) -> None:
        """Keep numbers (or tensors of one number) to show beside the count; they are read only when shown."""
        self._values = values

    def _noted(self) -> str:
        return ", ".join(f"{key} {float(value):.4g}" for key, value in self._values.items())

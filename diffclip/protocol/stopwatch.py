"""A clock for what methods cost: it stands still while libraries are loaded."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds since the start that no import statement took.

    Methods import their libraries where they use them, and the first run of a process would pay for that: seconds
    where a classical method fits in milliseconds. Imports of other threads, and those by `importlib`, count.
    """
    plain, owner, start = builtins.__import__, threading.get_ident(), time.perf_counter()
    importing, loading = False, 0.0

    def watched(*args: Any, **kwargs: Any) -> Any:
        nonlocal importing, loading
        # What an imported module imports is part of its own import.
        if importing or threading.get_ident() != owner:
            return plain(*args, **kwargs)
        importing, begun = True, time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            importing, loading = False, loading + time.perf_counter() - begun

    builtins.__import__ = watched
    try:
        yield lambda: time.perf_counter() - start - loading
    finally:
        builtins.__import__ = plain

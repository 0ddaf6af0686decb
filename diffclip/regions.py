"""Parts of a network that are compiled for training on a GPU: its small operations become a few larger ones.

A whole step compiles for a minute; the parts that it is made of, a block used fourteen times say, in seconds, and gain
nearly as much. Torch keeps kernels on disk (`TORCHINDUCTOR_CACHE_DIR`), so that the next process has them at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# Shapes that one part may be compiled for in a process: batches, tokens, modalities, with and without a rest.
_MOST_SHAPES = 64


class _Switch:
    on = False
    # One that fails would fail again at every update.
    failed = False


def region(forward: Callable[P, T]) -> Callable[P, T]:
    """Mark a forward as a part that is compiled within `compiled_regions`, once per shape."""

    @wraps(forward)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _Switch.on:
            return forward(*args, **kwargs)
        try:
            return _compiled(forward)(*args, **kwargs)
        except torch.OutOfMemoryError:  # no fault of the compiler's; with fewer seeds it is at hand
            raise
        except Exception as error:  # whatever a compiler may raise
            found = forward(*args, **kwargs)  # raises an error of the network itself again
            give_up(error)
            return found

    return call


def give_up(error: Exception) -> bool:
    """Compile nothing more in this process, and say why; False where that was decided before."""
    if _Switch.failed:
        return False
    _Switch.on, _Switch.failed = False, True
    log.warning("parts of the network could not be compiled, training goes on without: %s", error)
    return True


@cache
def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(forward, dynamic=False)


@contextmanager
def compiled_regions(wanted: bool) -> Iterator[None]:
    """Let every `region` be compiled when it is next called; one that fails to compile says so and ends it for all.

    What a region needs on the way back is compiled outside of it: whoever calls `backward` gives up for it.
    """
    if not wanted or _Switch.failed:
        yield
        return
    _Switch.on = True
    try:
        with torch._dynamo.config.patch(recompile_limit=_MOST_SHAPES):
            yield
    finally:
        _Switch.on = False

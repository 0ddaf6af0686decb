"""One update of the weights, quick on either device: eager on a CPU, replayed from a CUDA graph on a GPU.

A step of a model this small is hundreds of kernels of microseconds: a GPU waits for Python most of the time. A graph
holds all of them, from the losses to the optimiser, and is launched as one. In long training parts are compiled too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from diffclip.attention import short_kernels
from diffclip.regions import compiled_regions, give_up

log = logging.getLogger(__name__)

Precision = Literal["fp32", "tf32", "bf16", "bf16-triton"]
Batch = Mapping[str, Tensor]
Key = tuple[tuple[str, torch.Size, torch.dtype], ...]

# Real steps before a graph is captured: kernels are chosen and the optimiser's state is made in them.
_WARM_UP = 3
# From so many updates on, compiling (half a minute for sizes that are new to a machine, some seconds for others) gives
# more than it takes: an update of ten seeds at the paper's sizes becomes some 20 ms shorter.
_WORTH_COMPILING = 500


@contextmanager
def computed_in(precision: Precision, device: str) -> Iterator[None]:
    """Let matrix products be computed in a precision; weights, statistics, losses and the optimiser keep float32.

    Args:
        precision: "fp32" as it is; "tf32" rounds factors to 10 bits of fraction on a GPU, and is fp32 on a CPU; "bf16"
            autocasts to bfloat16; "bf16-triton" lets kernels of Triton attend short sequences besides, and is bf16 on a
            CPU.
        device: "cpu" or "cuda".
    """
    if precision in ("bf16", "bf16-triton"):
        on_gpu = device == "cuda"
        # Casts kept from one step would be stale weights in the next replay of a graph.
        halves = torch.autocast(device, torch.bfloat16, cache_enabled=not on_gpu)
        with halves, short_kernels(on_gpu and precision == "bf16-triton"):
            yield
    elif precision == "tf32" and device == "cuda":
        before = torch.backends.cuda.matmul.fp32_precision
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.fp32_precision = before
    else:
        yield


def stacked(batches: Sequence[Batch]) -> Batch:
    """Return the batches of S seeds as one with a first axis of S; that of a single seed as it is."""
    if len(batches) == 1:
        return batches[0]
    return {name: torch.stack([batch[name] for batch in batches]) for name in batches[0]}


def capturable(device: str) -> dict[str, Any]:
    """Return the arguments of an optimiser whose step is one kernel, and can be captured where there are graphs."""
    return {"fused": True, "capturable": True} if device == "cuda" else {"fused": True}


def with_rates_on(device: str, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Let schedules reach into captured steps: on a GPU learning rates become tensors there."""
    if device == "cuda":
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
    return optimiser


class Updates:
    """Updates of a model, one per call.

    Args:
        losses_of: what a batch gives: the loss to descend, a scalar, and numbers to watch. It draws no random numbers,
            waits for no result, and reads nothing else that changes between updates.
        optimiser: made with `capturable` and `with_rates_on`.
        device: "cpu" or "cuda".
        total: how many updates there will be.
    """

    def __init__(
        self,
        losses_of: Callable[[Batch], tuple[Tensor, Tensor]],
        optimiser: torch.optim.Optimizer,
        device: str,
        total: int,
    ) -> None:
        self._losses_of, self._optimiser, self._on_gpu = losses_of, optimiser, device == "cuda"
        self._compiles = self._on_gpu and total >= _WORTH_COMPILING
        self._seen: Counter[Key] = Counter()
        self._graphs: dict[Key, _Graph] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """Make one update; return the watched numbers, detached."""
        if not self._on_gpu:
            return self._eager(batch)
        key = tuple((name, x.shape, x.dtype) for name, x in batch.items())
        if key not in self._graphs:
            self._seen[key] += 1
            if self._seen[key] <= _WARM_UP:
                return self._warm(batch, key)
            captured = self._captured(batch, key)
            if captured is None:
                return self._eager(batch)
            self._graphs[key] = captured
        return self._graphs[key].replay(batch)

    def _eager(self, batch: Batch, key: Key | None = None) -> Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        with compiled_regions(self._is_compiled(key)):
            loss, watched = self._losses_of(batch)
            loss.backward()
        self._optimiser.step()
        return watched.detach()

    def _is_compiled(self, key: Key | None) -> bool:
        """Only the first shape is: that of what is left over at the end of an epoch is met in few updates."""
        return self._compiles and key == next(iter(self._seen))

    def _warm(self, batch: Batch, key: Key) -> Tensor:
        """Make a real update on another stream, as capturing asks for."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            try:
                watched = self._eager(batch, key)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever a compiler may raise on the way back; others come again
                if not (self._is_compiled(key) and give_up(error)):
                    raise
                log.warning("this update is made again: batch norms see its batch twice, another run may differ")
                watched = self._eager(batch, key)
        torch.cuda.current_stream().wait_stream(beside)
        return watched

    def _captured(self, batch: Batch, key: Key) -> _Graph | None:
        """Record an update without making it; None where that fails, which costs time alone."""
        inputs = {name: x.clone() for name, x in batch.items()}
        graph = torch.cuda.CUDAGraph()
        # Gradients are made inside, in the graph's own memory.
        self._optimiser.zero_grad(set_to_none=True)
        try:
            with torch.cuda.graph(graph):
                watched = self._eager(inputs, key)
        except RuntimeError as error:
            log.warning("no CUDA graph of the training step, which goes on without: %s", error)
            self._on_gpu = False
            return None
        return _Graph(graph, inputs, watched)


class _Graph(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: Batch
    watched: Tensor

    def replay(self, batch: Batch) -> Tensor:
        for name, x in batch.items():
            self.inputs[name].copy_(x)
        self.graph.replay()
        return self.watched.clone()

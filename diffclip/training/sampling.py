"""What stage 2 is shown: which labelled windows make a batch, where they stand, and what of them is visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from diffclip.model.masking import Kept, kept_tokens, showing
from diffclip.protocol.task import FewShotTask
from diffclip.training.windows import SceneWindows, batches


def orders(task: FewShotTask, options: Any) -> Iterator[list[Int64[Tensor, " b"]]]:
    """Yield, without end, the batches of one epoch after another: positions in `task.train_pixels`, on the CPU.

    An epoch shows every window once, in batches of `options.batch`. With `options.balanced` it has as many batches,
    but each goes through the classes in turn, in an order of its own, and draws a window of the class.
    """
    generator, count = task.rng("stage 2 batches"), len(task.train_pixels)
    if not options.balanced:
        while True:
            yield batches(torch.from_numpy(generator.permutation(count)), options.batch)
    of_class = [np.flatnonzero(task.train_targets == k) for k in range(len(task.classes))]
    rounds = -(-options.batch // len(of_class))
    while True:
        epoch = []
        for _ in range(-(-count // options.batch)):
            classes = np.concatenate([generator.permutation(len(of_class)) for _ in range(rounds)])[: options.batch]
            epoch.append(torch.tensor([generator.choice(of_class[k]) for k in classes]))
        yield epoch


class View(NamedTuple):
    """How a batch of labelled pixels is looked at.

    Attributes:
        centres: of the windows, flat positions.
        places: where the labelled pixel stands in its window.
        kept: per modality, which tokens are visible; None shows all.
    """

    centres: Int64[Tensor, " b"]
    places: Int64[Tensor, " b"]
    kept: list[Kept] | None


def viewer(
    task: FewShotTask, windows: SceneWindows, options: Any, tokens_of: Callable[[Tensor], Tensor]
) -> Callable[[Int64[Tensor, " b"]], View]:
    """Return what draws a view of labelled pixels (flat positions, on the device).

    Args:
        task: seed, device.
        windows: of the scene.
        options: `Options`: moved windows and token drop.
        tokens_of: gives the token that holds a pixel of a window.
    """
    generator = task.torch_generator("stage 2 views", on_device=True)
    height, width = windows.shape
    side, half = windows.window, windows.window // 2
    tokens = (side // options.token_size) ** 2

    def moved(positions: Tensor, length: int) -> Tensor:
        steps = torch.randint(-half, half + 1, positions.shape, generator=generator, device=positions.device)
        # Centres lie in the scene, as they do in testing.
        return (positions + steps).clamp(0, length - 1)

    def view(pixels: Tensor) -> View:
        rows, columns = pixels // width, pixels % width
        centre_rows, centre_columns = rows, columns
        if options.moved_windows:
            centre_rows, centre_columns = moved(rows, height), moved(columns, width)
        places = (rows - centre_rows + half) * side + columns - centre_columns + half
        kept = None
        if options.token_drop:
            drawn = [
                torch.rand(len(pixels), tokens, generator=generator, device=pixels.device) for _ in windows.channels
            ]
            kept = [kept_tokens(showing(draw, tokens_of(places)), options.token_drop) for draw in drawn]
        return View(centre_rows * width + centre_columns, places, kept)

    return view

"""CLIP-LoRA: low-rank updates of both towers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.language.prompts import Prompts, all_prompts
from diffclip.protocol.method import Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 128
_LAST_RATE = 1e-6


class ClipLora(ClipMethod):
    """Zanella & Ben Ayed, "Low-rank few-shot adaptation of vision-language models", CVPR 2024 workshops.

    Updates of rank 2 of queries, keys and values in every block of both towers, trained with AdamW for 500 iterations
    per shot, with one prompt for all data sets; the last weights count, no value is searched. Windows are turned and
    mirrored where the published code crops and flips photographs. Its learning rate falls by half a cosine, here from
    epoch to epoch. Images pass through the changed tower anew, so nothing can be kept between runs: on a CPU take the
    variant "short", a tenth as long.
    """

    title = "CLIP-LoRA"
    reference = "Zanella & Ben Ayed 2024, arXiv 2405.18541; github.com/MaxZanella/CLIP-LoRA"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"short": {"iterations_per_shot": 50}}

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of CLIP-LoRA, besides those of every rival around CLIP.

        Attributes:
            prompts: sentences about the classes.
            rank: of the updates.
            alpha: their scale is alpha / sqrt(rank).
            dropout: share of inputs of the updates that training drops.
            iterations_per_shot: number of updates, for every shot.
            batch: largest batch.
            lr, weight_decay: of AdamW.
        """

        prompts: Prompts = ("photo",)
        rank: int = 2
        alpha: float = 1.0
        dropout: float = 0.25
        iterations_per_shot: int = 500
        batch: int = 32
        lr: float = 2e-4
        weight_decay: float = 1e-2

    def fit(self, task: FewShotTask) -> None:
        """Learn the updates by cross-entropy on images and texts."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        from baselines._clip.features import TURNS
        from baselines._clip.lora import with_lora
        from baselines._clip.optimisation import cosine_rate, descend
        from diffclip.language.prompted import encode_tokens
        from diffclip.randomness import seeded_torch

        self.open(task)
        options, generator = self.options, task.torch_generator("turns")
        tokens = self.clip.tokens(all_prompts(options.prompts, task.class_names, task.class_descriptions))
        tokens, classes = tokens.to(task.device), len(task.classes)
        pixels = torch.from_numpy(task.train_pixels).to(task.device)
        targets = torch.from_numpy(task.train_targets).to(task.device)

        def texts() -> Tensor:
            found = normalize(encode_tokens(self.model, tokens), dim=-1).unflatten(0, (-1, classes))
            return normalize(found.mean(dim=0), dim=-1)

        def loss_of(rows: Tensor) -> Tensor:
            turns = torch.randint(TURNS, rows.shape, generator=generator).to(task.device)
            rows = rows.to(task.device)
            return cross_entropy(self.cosines(self._encoded(pixels[rows], turns), texts()), targets[rows])

        per_epoch = math.ceil(len(pixels) / options.batch)
        epochs = max(1, round(options.iterations_per_shot * task.shots / per_epoch))
        with seeded_torch(task.seed, "network", device=task.device):
            self.model, self.learned = with_lora(self.clip.model, options.rank, options.alpha, options.dropout)
            self.model.to(task.device).train()
            descend(
                loss_of,
                torch.optim.AdamW(self.learned, lr=options.lr, weight_decay=options.weight_decay),
                cosine_rate(options.lr, epochs, last=_LAST_RATE),
                task,
                batch=options.batch,
                epochs=epochs,
                name="CLIP-LoRA",
            )
        self.model.eval()
        with torch.no_grad():
            self.classes = texts()

    def _encoded(self, pixels: Tensor, turns: Tensor | None = None) -> Tensor:
        """Return (n, D) features of windows by the changed tower, averaged over the views, not normalised."""
        import torch

        found = [self.model.encode_image(self.features.images(pixels, view, turns)) for view in self.options.views]
        return torch.stack(found).mean(dim=0)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Scaled cosines between windows and class texts; batches are filled up, so that all round alike."""
        import torch

        from diffclip.device import repeatable_kernels
        from diffclip.progress import Progress

        index = torch.from_numpy(pixels).to(self.task.device)
        filled = torch.cat([index, index.new_zeros(-len(index) % _AT_ONCE)]).split(_AT_ONCE)
        with torch.no_grad(), repeatable_kernels(self.task.device):
            found = [self._encoded(filled[place]) for place in Progress("CLIP-LoRA", len(filled))]
            return np.asarray(self.cosines(torch.cat(found)[: len(index)].double(), self.classes).float().cpu())

    @property
    def n_parameters(self) -> int:
        """The updates' matrices."""
        return sum(parameter.numel() for parameter in self.learned)

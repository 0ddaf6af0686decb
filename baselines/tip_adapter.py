"""Tip-Adapter: the labelled windows as a cache that votes beside the class texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor

    from baselines._clip.shots import Shots


class TipAdapter(ClipMethod):
    """Zhang et al., "Tip-Adapter: Training-free adaption of CLIP for few-shot classification", ECCV 2022.

    Logits are 100 f . T + alpha exp(-beta (1 - f . K)) V: f a normalised window, T class texts, K the normalised means
    of each shot's features over its turns, V their classes. The variant "f" (Tip-Adapter-F) trains the keys, for the
    100 epochs of its config for EuroSAT, the one set of satellite images (20 elsewhere).

    The published code searches alpha and beta on a validation set, or on the test set, and picks the best epoch on the
    test set. Here alpha and beta are 1, the fair default of CLAP's authors (arXiv 2312.12730), and the last epoch
    counts; `leave_one_out` chooses both among a grid inside the shots, each voted on by all the others.
    """

    title = "Tip-Adapter"
    reference = "Zhang et al. 2022, arXiv 2207.09519; github.com/gaopengcuhk/Tip-Adapter"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "f": {"train_keys": True},
        "leave-one-out": {"leave_one_out": True},
    }

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of Tip-Adapter, besides those of every rival around CLIP.

        Attributes:
            alpha: weight of the cache.
            beta: sharpness of its votes.
            leave_one_out: choose alpha and beta inside the shots where every class has two or more.
            train_keys: train the keys (Tip-Adapter-F), by AdamW with a rate that falls by half a cosine.
            epochs, batch, lr: of that training.
        """

        alpha: float = 1.0
        beta: float = 1.0
        leave_one_out: bool = False
        train_keys: bool = False
        epochs: int = 100
        batch: int = 256
        lr: float = 1e-3

    def fit(self, task: FewShotTask) -> None:
        """Fill the cache, and train its keys if asked for."""
        import numpy as np
        from torch.nn.functional import normalize, one_hot

        from baselines._clip.shots import Shots

        self.open(task)
        shots = Shots(task, self.features)
        self.texts = self.class_embeddings()
        self.keys = normalize(shots.all.mean(dim=0), dim=-1)
        self.values = one_hot(shots.targets, len(task.classes)).float()
        self.alpha, self.beta = self.options.alpha, self.options.beta
        if self.options.leave_one_out and np.bincount(task.train_targets).min() >= 2:
            self.alpha, self.beta = self._chosen(shots.targets)
        if self.options.train_keys:
            self._train(shots)

    def _chosen(self, targets: Tensor) -> tuple[float, float]:
        """Return the alpha and beta of the least log-loss when each shot is voted on by the others."""
        import torch
        from torch.nn.functional import cross_entropy

        similar = self.keys @ self.keys.T
        others = 1.0 - torch.eye(len(similar), device=similar.device)
        of_texts = self.cosines(self.keys, self.texts)

        def loss(alpha: float, beta: float) -> float:
            votes = (torch.exp(-beta * (1 - similar)) * others) @ self.values
            return float(cross_entropy(of_texts + alpha * votes, targets))

        grid = [(alpha, beta) for alpha in (0.5, 1.0, 2.0, 5.0, 10.0) for beta in (0.5, 1.0, 2.0, 5.5, 10.0)]
        return min(grid, key=lambda pair: loss(*pair))

    def _train(self, shots: Shots) -> None:
        """Train the keys by cross-entropy (AdamW, eps 1e-4, cosine by step in the published code, by epoch here)."""
        import torch
        from torch.nn.functional import cross_entropy

        from baselines._clip.optimisation import cosine_rate, descend

        options = self.options
        self.keys.requires_grad_()

        def loss_of(rows: Tensor) -> Tensor:
            features, targets = shots.draw(rows)
            return cross_entropy(self.logits(features), targets)

        descend(
            loss_of,
            torch.optim.AdamW([self.keys], lr=options.lr, eps=1e-4),
            cosine_rate(options.lr, options.epochs),
            self.task,
            batch=options.batch,
            epochs=options.epochs,
            name="Tip-Adapter-F",
        )

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines with the class texts, and the cache's votes."""
        from torch.nn.functional import normalize

        similar = normalize(features, dim=-1) @ self.keys.to(features).T
        votes = (-self.beta * (1 - similar)).exp() @ self.values.to(features)
        return self.cosines(features, self.texts) + self.alpha * votes

    @property
    def n_parameters(self) -> int | None:
        """The keys, where they are trained."""
        return self.keys.numel() if self.options.train_keys else None

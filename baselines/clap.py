"""CLAP: class prototypes that start at the class texts and stay near them where these are right already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor


class CLAP(ClipMethod):
    """Silva-Rodriguez et al., "A closer look at the few-shot adaptation of large vision-language models", CVPR 2024.

    Prototypes start at the mean text embeddings, not normalised, and are trained by cross-entropy on scaled cosines
    plus the mean over classes of lambda_c ||w_c - t_c||^2, where lambda_c is the mean zero-shot probability of the true
    class on the shots of c (all turns), fixed before training. The variant "zs-lp" drops that term (ZS-LP, the
    authors' own baseline). No value is searched, as in the paper. Batches are drawn from twenty passes over the shots,
    each shot in a turn drawn at random where the published code crops and flips.
    """

    title = "CLAP"
    reference = "Silva-Rodriguez et al. 2024, arXiv 2312.12730; github.com/jusiro/CLAP"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"zs-lp": {"constrained": False}}

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of CLAP, besides those of every rival around CLIP.

        Attributes:
            constrained: hold prototypes near the class texts.
            epochs, batch, lr: of stochastic gradient descent; the rate is 1e-5 in the first epoch, then `lr`, and
                falls by half a cosine.
            passes: over the shots; an epoch takes as many batches of them all as one pass would fill.
        """

        constrained: bool = True
        epochs: int = 300
        batch: int = 256
        lr: float = 0.1
        passes: int = 20

    def fit(self, task: FewShotTask) -> None:
        """Learn the prototypes."""
        import torch
        from torch.nn.functional import cross_entropy

        from baselines._clip.optimisation import coop_rate, descend, sgd
        from baselines._clip.shots import Shots

        self.open(task)
        options, shots = self.options, Shots(task, self.features)
        texts = self.text_embeddings().mean(dim=0)
        self.prototypes = texts.clone()
        held = torch.zeros(len(texts), device=texts.device)
        if options.constrained:
            chances = self.logits(shots.all).softmax(dim=-1).mean(dim=0)  # (n, K)
            right = chances.gather(1, shots.targets[:, None])[:, 0]
            held = torch.stack([right[shots.targets == k].mean() for k in range(len(texts))])
        self.prototypes.requires_grad_()

        def loss_of(rows: Tensor) -> Tensor:
            features, targets = shots.draw(rows)
            away = (self.prototypes - texts).square().sum(dim=1)
            return cross_entropy(self.logits(features), targets) + (held * away).mean()

        descend(
            loss_of,
            sgd([self.prototypes], weight_decay=0.0),
            coop_rate(options.lr, options.epochs),
            task,
            batch=options.batch,
            epochs=options.epochs,
            name="CLAP",
            passes=options.passes,
        )
        self.prototypes = self.prototypes.detach()

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines between windows and prototypes."""
        from torch.nn.functional import normalize

        return self.cosines(features, normalize(self.prototypes, dim=-1))

    @property
    def n_parameters(self) -> int:
        """The prototypes."""
        return self.prototypes.numel()

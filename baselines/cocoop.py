"""CoCoOp: a prompt's context that depends on the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 32  # images whose prompts are encoded together


class CoCoOp(ClipMethod):
    """Zhou et al., "Conditional prompt learning for vision-language models", CVPR 2022.

    A small network adds a vector made from the image's normalised feature to each of four context vectors, which start
    from "a photo of a". Every image has prompts of its own, so it trains one image at a time, for ten epochs, and
    inference takes the text tower once per window and class. Windows are turned and mirrored where the published code
    crops and flips photographs; the last weights count.
    """

    title = "CoCoOp"
    reference = "Zhou et al. 2022, arXiv 2203.05557; github.com/KaiyangZhou/CoOp"

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of CoCoOp, besides those of every rival around CLIP; prompts are not used.

        Attributes:
            words: words whose embeddings are the first context.
            narrowing: the hidden layer is this much narrower than the image feature.
            epochs: how often every shot is seen.
            batch: largest batch.
            lr: of stochastic gradient descent, after a first epoch at 1e-5; it falls by half a cosine.
        """

        words: str = "a photo of a"
        narrowing: int = 16
        epochs: int = 10
        batch: int = 1
        lr: float = 2e-3

    def fit(self, task: FewShotTask) -> None:
        """Learn context and network by cross-entropy."""
        from torch import nn
        from torch.nn.functional import cross_entropy

        from baselines._clip.context import ContextPrompts, word_context
        from baselines._clip.optimisation import coop_rate, descend, sgd
        from baselines._clip.shots import Shots
        from diffclip.randomness import seeded_torch

        self.open(task)
        options, shots = self.options, Shots(task, self.features)
        self.context = word_context(self.clip, options.words)
        self.prompts = ContextPrompts(self.clip, task.class_names, len(self.context))
        width = shots.all.shape[2]
        hidden = max(1, width // options.narrowing)
        with seeded_torch(task.seed, "network"):
            network = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, self.prompts.width))
        self.network = network.to(task.device)
        learned = [self.context.requires_grad_(), *self.network.parameters()]

        def loss_of(rows: Tensor) -> Tensor:
            features, targets = shots.draw(rows)
            return cross_entropy(self._conditioned(features), targets)

        descend(
            loss_of,
            sgd(learned),
            coop_rate(options.lr, options.epochs),
            task,
            batch=options.batch,
            epochs=options.epochs,
            name="CoCoOp",
        )

    def _conditioned(self, features: Tensor) -> Tensor:
        """Return (n, K) scaled cosines between images and the prompts that each of them makes."""
        from torch.nn.functional import normalize

        images = normalize(features, dim=-1)
        texts = normalize(self.prompts.encode_each(self.context + self.network(images)[:, None]), dim=-1)
        return self.clip.scale * (texts @ images[:, :, None])[:, :, 0]

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines between windows and their prompts; batches are filled up, so that all round alike."""
        import torch

        from diffclip.device import repeatable_kernels
        from diffclip.progress import Progress

        filled = torch.cat([features, features[:1].expand(-len(features) % _AT_ONCE, -1)]).float().split(_AT_ONCE)
        with repeatable_kernels(self.task.device):
            found = [self._conditioned(filled[place]) for place in Progress("CoCoOp prompts", len(filled))]
        return torch.cat(found)[: len(features)]

    @property
    def n_parameters(self) -> int:
        """Context vectors and network."""
        return self.context.numel() + sum(parameter.numel() for parameter in self.network.parameters())

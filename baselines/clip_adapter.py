"""CLIP-Adapter: a small network on the image feature, blended with the feature itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor


class ClipAdapter(ClipMethod):
    """Gao et al., "CLIP-Adapter: Better vision-language models with feature adapters", IJCV 2024.

    Two layers without biases, a quarter as wide in between, look at the image feature as it comes from the tower;
    a fifth of what they give and four fifths of the feature are normalised and compared with the class texts.

    The published code is trained by CoOp's toolbox and names no settings. Here they are the toolbox's momentum and
    decay, CoOp's epochs and schedule, and rate and batch of LP++'s copy of the method (0.01 and 32); the blend is
    fixed, the last weights count. The adapter's published width is that of one backbone; here it follows the backbone.
    """

    title = "CLIP-Adapter"
    reference = "Gao et al. 2024, arXiv 2110.04544; github.com/gaopengcuhk/CLIP-Adapter"

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of CLIP-Adapter, besides those of every rival around CLIP.

        Attributes:
            blend: share of the adapter's output.
            narrowing: the hidden layer is this much narrower than the image feature.
            epochs: how often every shot is seen; None: 50 at 1 shot, 100 at 2 to 4, 200 at more.
            batch: largest batch.
            lr: of stochastic gradient descent, after a first epoch at 1e-5; it falls by half a cosine.
        """

        blend: float = 0.2
        narrowing: int = 4
        epochs: int | None = None
        batch: int = 32
        lr: float = 0.01

    def fit(self, task: FewShotTask) -> None:
        """Learn the adapter by cross-entropy."""
        from torch import nn
        from torch.nn.functional import cross_entropy

        from baselines._clip.optimisation import coop_epochs, coop_rate, descend, sgd
        from baselines._clip.shots import Shots
        from diffclip.randomness import seeded_torch

        self.open(task)
        options, shots = self.options, Shots(task, self.features)
        self.classes = self.class_embeddings()
        width = shots.all.shape[2]
        hidden = max(1, width // options.narrowing)
        with seeded_torch(task.seed, "network"):
            layers = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        self.adapter = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU()).to(task.device)

        def loss_of(rows: Tensor) -> Tensor:
            features, targets = shots.draw(rows)
            return cross_entropy(self.logits(features), targets)

        epochs = options.epochs or coop_epochs(task.shots)
        descend(
            loss_of,
            sgd(self.adapter.parameters()),
            coop_rate(options.lr, epochs),
            task,
            batch=options.batch,
            epochs=epochs,
            name="CLIP-Adapter",
        )
        self.adapter.double()  # as its inputs are in inference

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines between adapted windows and class texts."""
        blend = self.options.blend
        return self.cosines(blend * self.adapter(features) + (1 - blend) * features, self.classes)

    @property
    def n_parameters(self) -> int:
        """The adapter's weights."""
        return sum(parameter.numel() for parameter in self.adapter.parameters())

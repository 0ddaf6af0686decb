"""CoupledCNN: two branches that share their last two convolutions, and three classifiers."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from baselines._networks.layers import Dropout


class CoupledCNN(nn.Module):
    """One convolution of its own per modality, two that both share, and classifiers of each modality and of their sum.

    Args:
        components: principal components of the cube.
        channels: C of the auxiliary rasters.
        classes: K.
        window: odd side w of the window, at least 9.
        width: factor on the numbers of filters.

    Attributes:
        trust: (3, K) how much each classifier is believed about each class; of those that know a class, the shares sum
            to 1.
    """

    trust: Tensor

    def __init__(self, components: int, channels: int, classes: int, window: int = 11, width: float = 1.0) -> None:
        super().__init__()
        few, more, most = (max(1, round(n * width)) for n in (32, 64, 128))
        self.hsi, self.aux = _stage(components, few), _stage(channels, few)
        self.shared = nn.Sequential(
            _stage(few, more), Dropout(0.5), _stage(more, most), Dropout(0.5), nn.Flatten(-3)
        )  # fmt: skip
        features = most * (window // 8) ** 2
        self.heads = nn.ModuleList(nn.Linear(features, classes) for _ in range(3))
        self.register_buffer("trust", torch.full((3, classes), 1 / 3), persistent=False)

    def logits(
        self, hsi: Float[Tensor, "*batch L w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch 3 K"]:
        """Return the logits of the cube's, the rasters' and the sum's classifier."""
        of_hsi, of_aux = self.shared(self.hsi(hsi)), self.shared(self.aux(aux))
        features = of_hsi, of_aux, of_hsi + of_aux
        return torch.stack([head(x) for head, x in zip(self.heads, features, strict=True)], dim=-2)

    def forward(
        self, hsi: Float[Tensor, "*batch L w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the sum of the three classifiers' logits, each weighted by the trust in it."""
        return (self.logits(hsi, aux) * self.trust).sum(dim=-2)


def class_accuracy(logits: Float[Tensor, "n 3 K"], targets: Int64[Tensor, " n"]) -> Float[Tensor, "3 K"]:
    """Return the share of every class's samples that each classifier recognises."""
    classes = logits.shape[-1]
    members = nn.functional.one_hot(targets, classes).float()  # (n, K)
    right = (logits.argmax(dim=-1) == targets[:, None]).float()  # (n, 3)
    return right.mT @ members / members.sum(dim=0).clamp(min=1)


def _stage(inputs: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)
    )  # fmt: skip

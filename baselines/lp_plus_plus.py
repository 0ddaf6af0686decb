"""LP++: a linear probe whose class weights are blended with the class texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor


class LPPlusPlus(ClipMethod):
    """Huang et al., "LP++: A surprisingly strong linear probe for few-shot CLIP", CVPR 2024.

    Logits are f . (w_k + alpha_k t_k) + b_k, with normalised features f and texts t. Full batches; w and b descend with
    momentum and a step from the loss's curvature, alpha every tenth iteration with one of its own. Weights start at the
    sums of the class's features, alpha at 250 times the mean similarity of a shot and its text.

    Departures from the published code: the last iteration counts, where it picks one on a validation set; the gradient
    of alpha is that of its iteration alone, where it piles up over all before; biases start at zero, there at random;
    windows are taken as they are, where images are cropped and flipped once.
    """

    title = "LP++"
    reference = "Huang et al. 2024, arXiv 2404.02285; github.com/FereshteShakeri/FewShot-CLIP-Strong-Baseline"

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of LP++, besides those of every rival around CLIP.

        Attributes:
            iterations: number of full-batch updates.
            text_every: iterations between updates of the blending factors.
            text_weight: factor on their start.
        """

        iterations: int = 300
        text_every: int = 10
        text_weight: float = 250.0

    def fit(self, task: FewShotTask) -> None:
        """Descend on all training pixels at once."""
        import torch
        from torch.nn.functional import cross_entropy, normalize, one_hot

        from baselines._clip.optimisation import sgd
        from baselines._clip.shots import Shots
        from diffclip.device import repeatable_kernels

        self.open(task)
        options, classes = self.options, len(task.classes)
        shots = Shots(task, self.features, turns=1)
        features, targets = normalize(shots.all[0], dim=-1).double(), shots.targets
        texts = self.class_embeddings().double()
        similar = features @ texts.T  # (n, K)
        weights = (one_hot(targets, classes).double().T @ features).requires_grad_()
        bias = torch.zeros_like(weights[:, 0]).requires_grad_()
        start = options.text_weight * similar.gather(1, targets[:, None]).mean()
        blend = start.repeat(classes).requires_grad_()
        n = len(features)
        # Steps of one over the loss's greatest curvature in each block of variables.
        step = 4 * n / torch.linalg.eigvalsh(features.T @ features)[-1].item()
        text_step = n / (4 * similar.square().sum(dim=0).max().item())
        descent, text_descent = sgd([weights, bias], weight_decay=0.0), sgd([blend], momentum=0.0, weight_decay=0.0)
        descent.param_groups[0]["lr"], text_descent.param_groups[0]["lr"] = step, text_step
        with repeatable_kernels(task.device):
            for iteration in range(options.iterations):
                loss = cross_entropy(features @ weights.T + blend * similar + bias, targets)
                descent.zero_grad(), text_descent.zero_grad()
                loss.backward()
                descent.step()
                if (iteration + 1) % options.text_every == 0:
                    text_descent.step()
        self.weights = (weights + blend[:, None] * texts).detach()
        self.bias = bias.detach()

    def logits(self, features: Tensor) -> Tensor:
        """Return the blended classifier's logits."""
        from torch.nn.functional import normalize

        return normalize(features, dim=-1) @ self.weights.T + self.bias

    @property
    def n_parameters(self) -> int:
        """Class weights, biases and blending factors."""
        return int(self.weights.numel() + 2 * self.bias.numel())

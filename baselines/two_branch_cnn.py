"""Two-branch convolutional network for hyperspectral and LiDAR data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from baselines._supervised import Turns
from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex

if TYPE_CHECKING:
    from baselines._networks.two_branch import BranchHeads, TwoBranch
    from baselines._training import StackedWindows


class TwoBranchCNN(Method):
    """Xu et al., "Multisource remote sensing data classification based on convolutional neural network", TGRS 2018.

    A branch for the cube (2-D convolutions on the window, 1-D convolutions on the centre spectrum) and a cascade branch
    for the rasters are first trained each with a classifier of its own, then together below a fused classifier.

    The paper trains 20 epochs on four mirrored or turned copies of 2832 pixels in batches of 100, which is 2266 updates
    when all of them train. A few shots make an epoch of one or two updates, so updates are counted here, not epochs.
    Ours differs from the published code where that would bias it: branches are handed on to the fused network, test
    windows are not blurred, and the last weights count instead of those picked on held-out labels. Bands are scaled one
    by one, and training windows get no noise. The variant "small" is a quarter as wide and trained for 300 updates, for
    studies without a GPU.
    """

    title = "Two-branch CNN"
    reference = "Xu et al. 2018, doi:10.1109/TGRS.2017.2756851; github.com/BUCT-Vision"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 0.25, "branch_steps": 150, "fusion_steps": 150},
    }
    uses_device = True
    axes = frozenset({"window"})
    windows: StackedWindows
    network: TwoBranch

    @dataclass(frozen=True)
    class Options:
        """Options of the two-branch network.

        Attributes:
            width: factor on the number of filters; 1 is the paper's network.
            branch_steps: updates of the branches with their own classifiers (Adam).
            fusion_steps: updates of the whole network (gradient descent).
            batch: largest batch, at least 2.
            branch_learning_rate: of the first stage.
            fusion_learning_rate: of the second stage.
            turns: mirror training windows at random ("flips"), also turn them by quarters ("all"), or neither.
        """

        width: float = 1.0
        branch_steps: int = 2266
        fusion_steps: int = 2266
        batch: int = 100
        branch_learning_rate: float = 1e-4
        fusion_learning_rate: float = 5e-3
        turns: Turns = "flips"

        def __post_init__(self) -> None:
            if self.batch < 2 or self.width <= 0 or min(self.branch_steps, self.fusion_steps) < 0:
                raise ValueError("expected batch >= 2 (batch normalisation), width > 0 and no negative steps")

    def fit(self, task: FewShotTask) -> None:
        """Train the branches, then the fused network."""
        self.fit_many([self], [task])

    @classmethod
    def fit_many(cls, methods: Sequence[Self], tasks: Sequence[FewShotTask]) -> None:
        """Train the networks of several seeds as one."""
        import torch

        from baselines import _training
        from baselines._training import cross_entropy

        options, device, seeds = methods[0].options, tasks[0].device, len(tasks)
        networks, heads = zip(
            *(method._started(task) for method, task in zip(methods, tasks, strict=True)), strict=True
        )
        network, head = _training.as_one(networks, tasks), _training.as_one(heads, tasks)
        batches = _training.joined(
            [
                _training.labelled_batches(task, method.windows, options.batch, options.turns)
                for method, task in zip(methods, tasks, strict=True)
            ]
        )

        # Means over seeds times their number: each seed gets the gradient of its own mean.
        def branch_loss(inputs: _training.Inputs, targets: torch.Tensor) -> torch.Tensor:
            of_hsi, of_aux = head(*network.branches(*inputs))
            return seeds * (cross_entropy(of_hsi, targets) + cross_entropy(of_aux, targets))

        def fusion_loss(inputs: _training.Inputs, targets: torch.Tensor) -> torch.Tensor:
            return seeds * cross_entropy(network(*inputs), targets)

        with repeatable_kernels(device):
            # The branches share no weight, so the sum of their losses trains each as if alone.
            adam = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=options.branch_learning_rate)
            _training.minimise(branch_loss, batches, adam, options.branch_steps, "two_branch_cnn branches")
            descent = torch.optim.SGD(network.parameters(), lr=options.fusion_learning_rate)
            _training.minimise(fusion_loss, batches, descent, options.fusion_steps, "two_branch_cnn fusion")
        _training.as_single(network, networks)
        for method, trained in zip(methods, networks, strict=True):
            method.network = trained

    def _started(self, task: FewShotTask) -> tuple[TwoBranch, BranchHeads]:
        """Put the scene on the device and return the network and its branches' classifiers with initial weights."""
        from baselines import _training
        from baselines._networks.two_branch import MIN_BANDS, BranchHeads, TwoBranch

        bands, channels, classes = task.scene.hsi.shape[2], task.scene.aux.shape[2], len(task.classes)
        if bands < MIN_BANDS:
            raise UserError(f"two_branch_cnn: found {bands} bands, expected {MIN_BANDS} or more")
        self.windows = _training.StackedWindows(task.scene.scaled("standard"), task.window, task.device)
        with _training.seeded(task, "network"):
            network = TwoBranch(bands, channels, classes, task.window, self.options.width)
            heads = BranchHeads(network, classes)
        return network.to(task.device).train(), heads.to(task.device).train()

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the fused classifier's logits."""
        from baselines import _training

        return _training.scores(self.network, self.windows, pixels, self.task)

    @property
    def n_parameters(self) -> int:
        """Weights of the fused network; the branches' own classifiers are thrown away."""
        return sum(parameter.numel() for parameter in self.network.parameters())

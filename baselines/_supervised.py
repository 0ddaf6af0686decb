"""The skeleton of a supervised network as a method: an author names rasters, network and training settings.

Light to import: torch is loaded when a method is fitted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.protocol.method import Axis, Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Imagery, PixelIndex, Scaling

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from baselines._training import Inputs, Optimizer, StackedWindows

Turns: TypeAlias = Literal["none", "flips", "all"]


@dataclass(frozen=True)
class NetworkOptions:
    """Options that every network has; each network's own class sets its paper's values.

    Attributes:
        window: side of the windows; None is the study's window.
        epochs: passes over the training pixels.
        least_steps: a training of fewer updates goes on until it has had so many.
        batch: largest batch, at least 2.
        lr: learning rate at its highest.
        weight_decay: of the optimiser.
        turns: mirror training windows at random ("flips"), also turn them by quarters ("all"), or neither.
    """

    window: int | None = None
    epochs: int = 100
    least_steps: int = 1000
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.0
    turns: Turns = "none"

    def __post_init__(self) -> None:
        if self.batch < 2 or min(self.epochs, self.least_steps) < 0:
            raise ValueError("expected batch >= 2 (batch normalisation) and no negative epochs or steps")


class SupervisedNetwork(Method):
    """A network trained on the labelled windows from scratch, for a fixed number of updates; its last weights count.

    A subclass sets `Options` (a `NetworkOptions` with its paper's values) and `network`; where its paper asks for it
    also `rasters`, `loss`, `schedule`, `optimizer`, `momentum`.

    Class attributes:
        optimizer: "adam", "adamw", "nadam" or "sgd".
        momentum: of "sgd".
        betas: of the other three.
        scaling: of the scene's channels, each over the whole scene.
        uses_aux: False for networks of the cube alone.
        least_window: smallest side of a window that the layers can take.
        least_bands: least number of bands that the layers can take.
    """

    uses_device = True
    windows: StackedWindows
    trained: nn.Module
    optimizer: ClassVar[Optimizer] = "adam"
    momentum: ClassVar[float] = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    scaling: ClassVar[Scaling] = "standard"
    uses_aux: ClassVar[bool] = True
    least_window: ClassVar[int] = 1
    least_bands: ClassVar[int] = 1

    @abstractmethod
    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the untrained network; called with windows (n, C, w, w) of each raster stack it returns (n, K)."""

    def rasters(self, scene: Imagery) -> tuple[np.ndarray, ...]:
        """Return the (H, W, C) raster stacks whose windows the network sees: scaled cube, rasters if used."""
        hsi, aux = scene.scaled(self.scaling)
        return (hsi, aux) if self.uses_aux else (hsi,)

    def loss(self, network: nn.Module, inputs: Inputs, targets: Tensor) -> Tensor:
        """Return the loss of a batch, a mean over its samples: cross-entropy of the network's logits.

        Of several seeds, everything has a first axis for them, and the mean is over all of them.
        """
        from baselines._training import cross_entropy

        return cross_entropy(network(*inputs), targets)

    def schedule(self, done: float) -> float:
        """Return the factor on the learning rate after a share `done` of the training: 1."""
        return 1.0

    def prepare(self, network: nn.Module, task: FewShotTask) -> None:
        """Change the untrained network before it is trained, say by pretrained weights; the default changes nothing."""
        return None

    def finish(self, network: nn.Module, task: FewShotTask) -> None:
        """Add to the trained network, in evaluation mode, what only then is known; the default adds nothing."""
        return None

    @property
    def axes(self) -> frozenset[Axis]:  # type: ignore[override]
        """The study's window, unless the options fix one."""
        return frozenset({"window"}) if self.options.window is None else frozenset()

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Return half the window."""
        side = self._side(window)
        return 0 if side is None else side // 2

    def check(self, window: int | None) -> None:
        """Windows are odd, and large enough for the layers."""
        side = self._side(window)
        if side is not None and (side % 2 == 0 or side < self.least_window):
            raise UserError(f"{self.name}: window: found {side}, expected an odd number from {self.least_window} on")

    def _side(self, window: int | None) -> int | None:
        return window if self.options.window is None else self.options.window

    @property
    def name(self) -> str:
        """The method's name, for messages."""
        return type(self).__module__.rpartition(".")[2]

    def fit(self, task: FewShotTask) -> None:
        """Train the network on the task's windows."""
        self.fit_many([self], [task])

    @classmethod
    def fit_many(cls, methods: Sequence[Self], tasks: Sequence[FewShotTask]) -> None:
        """Train the networks of several seeds as one."""
        from baselines import _training

        first, device = methods[0], tasks[0].device
        options: Any = first.options
        networks = [method._started(task) for method, task in zip(methods, tasks, strict=True)]
        network = _training.as_one(networks, tasks)
        batches = [
            _training.labelled_batches(task, method.windows, options.batch, options.turns)
            for method, task in zip(methods, tasks, strict=True)
        ]
        per_epoch = _training.batches_per_epoch(len(tasks[0].train_pixels), options.batch)
        with repeatable_kernels(device):
            _training.minimise(
                # The mean over seeds times their number: each seed gets the gradient of its own mean.
                lambda inputs, targets: len(networks) * first.loss(network, inputs, targets),
                _training.joined(batches),
                _training.optimizer_of(
                    cls.optimizer,
                    network.parameters(),
                    options.lr,
                    options.weight_decay,
                    momentum=cls.momentum,
                    betas=cls.betas,
                ),
                max(options.least_steps, options.epochs * per_epoch),
                first.name,
                first.schedule,
            )
            _training.as_single(network, networks)
            for method, task, trained in zip(methods, tasks, networks, strict=True):
                method.finish(trained.eval(), task)
                method.trained = trained

    def _started(self, task: FewShotTask) -> nn.Module:
        """Put the scene on the device and return the network to be trained there, with its initial weights."""
        from baselines import _training

        self.check(task.study_window)
        bands = task.scene.hsi.shape[2]
        if bands < self.least_bands:
            raise UserError(f"{self.name}: found {bands} bands, expected {self.least_bands} or more")
        window = task.window if self.options.window is None else self.options.window
        self.windows = _training.StackedWindows(self.rasters(task.scene), window, task.device)
        with _training.seeded(task, "network"):
            network = self.network(self.windows.channels, len(task.classes), window)
        self.prepare(network, task)
        return network.to(task.device).train()

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the network's logits."""
        from baselines import _training

        return _training.scores(self.trained, self.windows, pixels, self.task)

    @property
    def n_parameters(self) -> int:
        """Trained weights of the network."""
        return sum(parameter.numel() for parameter in self.trained.parameters() if parameter.requires_grad)

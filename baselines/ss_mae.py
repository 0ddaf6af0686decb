"""SS-MAE: self-supervised on windows of the scene, then fine-tuned on the labelled ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork, Turns
from diffclip.errors import UserError
from diffclip.protocol.method import Pretraining
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Imagery

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


class SSMAEMethod(SupervisedNetwork):
    """Lin et al., "SS-MAE: spatial-spectral masked autoencoder for multisource remote sensing image …", TGRS 2023.

    A masked autoencoder learns from unlabelled windows of the scene, in one stream of pixels and one of bands; its
    encoder is then trained on the labelled windows beside a convolutional network. The released code writes the
    decoder's weights over the encoder's and leaves the loading out; here the encoder is handed on. Layers that its
    forward passes never use are left out. The paper pretrains for 468,750 updates (300 epochs of 200,000 windows;
    variant "paper-length"), here for 20,000 by default. The published windows are 7 x 7. The released code keeps the
    best test accuracy; here the last weights count. Components are those of the scaled cube, over the whole scene and
    not whitened, as there; windows are mirrored at random in both trainings.
    """

    title = "SS-MAE"
    reference = "Lin et al. 2023, arXiv 2311.04442; github.com/summitgao/SS-MAE"
    optimizer = "adamw"
    betas = (0.9, 0.95)
    scaling = "minmax-joint"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper-length": {"pretrain_steps": 468_750},
        "own-window": {"window": 7},
        "without-pretraining": {"pretrain_steps": 0},
        "small": {
            "window": 7, "width": 32, "depth": 1, "heads": 4, "components": 13, "pretrain_steps": 300,
            "pretrain_batch": 64, "epochs": 60, "least_steps": 200, "lr": 1e-3,
        },
    }  # fmt: skip

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of SS-MAE.

        Attributes:
            width, depth, heads: of the transformers.
            components: principal components of the cube; as many as it has bands where it has fewer.
            mask_ratio: share of masked tokens in pretraining.
            pretrain_steps: updates of pretraining; 0 leaves it out.
            pretrain_batch, pretrain_lr: its batches and its learning rate at the highest.
        """

        epochs: int = 300
        turns: Turns = "flips"
        batch: int = 128
        lr: float = 1e-4
        weight_decay: float = 0.05
        width: int = 256
        depth: int = 2
        heads: int = 8
        components: int = 30
        mask_ratio: float = 0.3
        pretrain_steps: int = 20_000
        pretrain_batch: int = 128
        pretrain_lr: float = 1e-4

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.width % (2 * self.heads):
                raise ValueError("width: expected a multiple of twice the heads")
            if not 0 <= self.mask_ratio < 1 or self.pretrain_steps < 0:
                raise ValueError("expected a mask_ratio from 0 to below 1 and no negative pretrain_steps")

    @property
    def transductive(self) -> bool:  # type: ignore[override]
        """Pretraining looks at all windows of the scene, test windows included."""
        return self.options.pretrain_steps > 0

    def pretraining(self, window: int | None, mask_ratio: float | None) -> Pretraining | None:
        """Return the encoder's checkpoint, named by all that decides it; None without pretraining."""
        options = self.options
        if not options.pretrain_steps:
            return None
        side = window if options.window is None else options.window
        settings = {
            "window": side,
            "width": options.width,
            "depth": options.depth,
            "heads": options.heads,
            "mask_ratio": options.mask_ratio,
            "steps": options.pretrain_steps,
            "batch": options.pretrain_batch,
            "lr": options.pretrain_lr,
            "weight_decay": options.weight_decay,
        }
        return Pretraining(
            name=f"ss_mae_window-{side}", function="baselines._networks.ss_mae_pretraining:pretrain", settings=settings
        )

    def rasters(self, scene: Imagery) -> tuple[np.ndarray, ...]:
        """Return the scaled cube, the scaled rasters and the principal components of the scaled cube."""
        from baselines._networks.ss_mae import LEAST_COMPONENTS
        from diffclip.scene.features import principal_components

        components = min(self.options.components, scene.hsi.shape[2])
        if components < LEAST_COMPONENTS:
            few = f"{self.options.components} of {scene.hsi.shape[2]} bands"
            raise UserError(f"ss_mae: components: found {few}, expected {LEAST_COMPONENTS} or more")
        hsi, aux = scene.scaled(self.scaling)
        return hsi, aux, principal_components(hsi, components)

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the classifier, its encoder untrained."""
        from baselines._networks.ss_mae import Classifier

        (hsi, aux, components), options = channels, self.options
        return Classifier(hsi, aux, components, classes, window, options.width, options.depth, options.heads)

    def prepare(self, network: nn.Module, task: FewShotTask) -> None:
        """Take over the pretrained encoder."""
        from safetensors.torch import load_file

        if not self.options.pretrain_steps:
            return
        if task.pretrained is None:
            raise UserError("task.pretrained: found none, expected ss_mae's checkpoint (or pretrain_steps: 0)")
        network.encoder.load_state_dict(load_file(task.pretrained))  # type: ignore[union-attr]

    def schedule(self, done: float) -> float:
        """Warm up, then lower the rate tenfold after 60 and 80 % of the training."""
        from baselines._networks.ss_mae_pretraining import rate

        return rate(done)

"""CoupledCNN on windows of principal components and auxiliary rasters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._supervised import NetworkOptions, SupervisedNetwork
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Imagery

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from baselines._training import Inputs


_LITTLE = 1e-5  # for classes that no classifier recognises


class CoupledCNNMethod(SupervisedNetwork):
    """Hang et al., "Classification of hyperspectral and LiDAR data using coupled CNNs", TGRS 2020.

    Sees windows of the first principal components of the scaled cube and of the rasters; components are taken over the
    whole scene, without labels. Each of three classifiers is believed about a class as far as it recognises the
    training pixels of that class, against the other two. The published code keeps the epoch of the best test accuracy;
    here the last counts.
    """

    title = "CoupledCNN"
    reference = "Hang et al., TGRS 2020; github.com/RenlongHang/Coupled-CNNs"
    scaling = "minmax"
    least_window = 9
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {"width": 0.5, "epochs": 60, "least_steps": 300}}

    @dataclass(frozen=True)
    class Options(NetworkOptions):
        """Options of CoupledCNN.

        Attributes:
            components: principal components of the cube; as many as it has bands where it has fewer.
            width: factor on the numbers of filters.
            branch_weight: of the losses of the cube's and the rasters' own classifiers; that of their sum has 1.
        """

        epochs: int = 200
        components: int = 20
        width: float = 1.0
        branch_weight: float = 0.01

    def rasters(self, scene: Imagery) -> tuple[np.ndarray, ...]:
        """Return the principal components of the scaled cube, and the scaled rasters."""
        from diffclip.scene.features import principal_components

        hsi, aux = scene.scaled(self.scaling)
        return principal_components(hsi, min(self.options.components, hsi.shape[2])), aux

    def network(self, channels: Sequence[int], classes: int, window: int) -> nn.Module:
        """Return the network."""
        from baselines._networks.coupled_cnn import CoupledCNN

        hsi, aux = channels
        return CoupledCNN(hsi, aux, classes, window, self.options.width)

    def loss(self, network: nn.Module, inputs: Inputs, targets: Tensor) -> Tensor:
        """Return the weighted cross-entropies of the three classifiers."""
        from baselines._networks.coupled_cnn import CoupledCNN
        from baselines._training import cross_entropy

        assert isinstance(network, CoupledCNN)
        of_hsi, of_aux, of_sum = (cross_entropy(x, targets) for x in network.logits(*inputs).unbind(-2))
        return self.options.branch_weight * (of_hsi + of_aux) + of_sum

    def finish(self, network: nn.Module, task: FewShotTask) -> None:
        """Trust every classifier as far as it recognises the training pixels, class by class."""
        import torch

        from baselines._networks.coupled_cnn import CoupledCNN, class_accuracy

        assert isinstance(network, CoupledCNN)
        pixels, targets = (torch.from_numpy(x).to(task.device) for x in (task.train_pixels, task.train_targets))
        with torch.inference_mode():
            logits = torch.cat([network.logits(*self.windows(part)) for part in pixels.split(256)])
            known = class_accuracy(logits, targets)
            network.trust.copy_(known / (known.sum(dim=0) + _LITTLE))

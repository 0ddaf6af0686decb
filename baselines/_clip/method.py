"""The base of all rivals around CLIP: which model, what is shown to it, and what is said of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from diffclip.language.prompts import Prompts, all_prompts
from diffclip.language.weights import located, weights_name
from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.rendering import View
from diffclip.scene.scene import PixelIndex

if TYPE_CHECKING:
    from torch import Tensor

    from baselines._clip.features import ImageFeatures
    from diffclip.language.clip import Clip

Position = Literal["end", "middle", "front"]  # of the class name in a prompt with learned context


@dataclass(frozen=True)
class ClipOptions:
    """Options of every rival around CLIP.

    Attributes:
        clip_model: open_clip's name of the model. Of a local file's weights only this name says whether they were
            trained with QuickGELU ("ViT-B-32-quickgelu"); a tag says it by itself.
        clip_weights: open_clip's tag, the path of a local file or folder, "embedded" (the small CLIP that the suite
            trains itself; it brings its own architecture) or "random".
        views: what is shown: the window in false colours ("hsi"), its auxiliary rasters as colours ("aux"), or both,
            whose features are averaged.
        prompts: sentences about the classes, of one set or the mean over several.
    """

    clip_model: str = "ViT-B-32"
    clip_weights: str = "openai"
    views: tuple[View, ...] = ("hsi", "aux")
    prompts: Prompts = ("satellite",)

    def __post_init__(self) -> None:
        if not self.views or len(set(self.views)) < len(self.views):
            raise ValueError(f"found views {list(self.views)}, expected one or more, each once")


class ClipMethod(Method):
    """A rival around a frozen CLIP that looks at renderings of the window.

    A subclass writes `fit`, which calls `open` first, and `logits`.
    """

    uses_device = True
    axes = frozenset({"window"})
    features: ImageFeatures

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of every rival around CLIP."""

    @property
    def clip_weights(self) -> str:
        """Which CLIP it is, as records and tables say it."""
        return weights_name(self.options.clip_model, self.options.clip_weights)

    def open(self, task: FewShotTask) -> None:
        """Make ready to look at windows of the task's scene; no model is loaded before it is needed."""
        from baselines._clip.features import ImageFeatures
        from baselines._clip.models import Source

        options = self.options
        source = Source(options.clip_model, located(options.clip_weights, task.embedded_clip), task.seed, task.device)
        self.features = ImageFeatures(task, source, options.views)

    @property
    def clip(self) -> Clip:
        """The CLIP, frozen, on the task's device."""
        return self.features.source.clip

    def text_embeddings(self) -> Tensor:
        """Return (P, K, D) embeddings of the classes in the words of P templates, not normalised, on the device."""
        task = self.task
        texts = all_prompts(self.options.prompts, task.class_names, task.class_descriptions)
        return self.clip.text_embeddings(texts).unflatten(0, (-1, len(task.classes)))

    def class_embeddings(self) -> Tensor:
        """Return (K, D) the classes' normalised embeddings: each sentence's is normalised, then their mean."""
        from torch.nn.functional import normalize

        return normalize(normalize(self.text_embeddings(), dim=-1).mean(dim=0), dim=-1)

    def cosines(self, features: Tensor, classes: Tensor) -> Tensor:
        """Return (..., K) scaled cosines between image features (..., D) and classes (K, D), which are normalised."""
        from torch.nn.functional import normalize

        return self.clip.scale * normalize(features, dim=-1) @ classes.to(features).T

    def logits(self, features: Tensor) -> Tensor:
        """Return (n, K) logits of (n, D) image features, not normalised."""
        raise NotImplementedError

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return the logits of the windows around `pixels`, in double precision: results shall not depend on order."""
        import torch

        with torch.no_grad():
            found = self.logits(self.features.mean(pixels).to(self.task.device).double())
        return np.asarray(found.float().cpu())

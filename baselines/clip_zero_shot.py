"""Plain CLIP: the most similar class text, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._clip.method import ClipMethod, ClipOptions
from diffclip.language.prompts import Prompts
from diffclip.protocol.task import FewShotTask

if TYPE_CHECKING:
    from torch import Tensor


class ClipZeroShot(ClipMethod):
    """Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.

    A class is the mean of its normalised prompt embeddings, by default over CLIP's three templates for satellite images
    (EuroSAT in data/prompts.md of the repository); the variant "resisc45" takes its eighteen. No training pixel is
    looked at, so that all shots give the same result.
    """

    title = "CLIP (zero-shot)"
    reference = "Radford et al. 2021, arXiv 2103.00020; github.com/openai/CLIP"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "resisc45": {"prompts": ["resisc45"]},
        "descriptions": {"prompts": ["descriptions"]},
        "false-colour": {"views": ["hsi"]},
    }

    @dataclass(frozen=True)
    class Options(ClipOptions):
        """Options of every rival around CLIP."""

        prompts: Prompts = ("eurosat",)

    def fit(self, task: FewShotTask) -> None:
        """Embed the class texts."""
        self.open(task)
        self.classes = self.class_embeddings()

    def logits(self, features: Tensor) -> Tensor:
        """Scaled cosines between windows and class texts."""
        return self.cosines(features, self.classes)

"""CLIP models of this process: loaded when first needed, and once for all runs that share one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from diffclip.language.clip import Clip, load_clip
from diffclip.language.weights import RANDOM, weights_name


@lru_cache(maxsize=2)
def _loaded(model: str, weights: str, name: str, seed: int, device: str) -> Clip:
    # `name` holds a file's checksum: a file that changed is loaded anew.
    clip = load_clip(model, weights, seed)
    clip.model.to(device)
    return clip


@dataclass(frozen=True)
class Source:
    """Where a CLIP comes from.

    Attributes:
        model: open_clip's name of the architecture; nothing to a folder, which brings its own.
        weights: tag, file, folder or "random".
        seed: of random weights.
        device: where the model shall live.
    """

    model: str
    weights: str
    seed: int
    device: str

    @cached_property
    def name(self) -> str:
        """What tells these weights from all others: architecture, and tag, checksum or seed."""
        of_seed = f" of seed {self.seed}" if self.weights == RANDOM else ""
        model = "" if Path(self.weights).is_dir() else f"{self.model} "
        return f"{model}{weights_name(self.model, self.weights)}{of_seed}"

    @property
    def clip(self) -> Clip:
        """The model, frozen and in evaluation mode; nobody may change it, others use it too."""
        seed = self.seed if self.weights == RANDOM else 0
        return _loaded(self.model, self.weights, self.name, seed, self.device)

"""DiffCLIP as a method of the suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from diffclip.errors import UserError
from diffclip.protocol.method import SCENE_WIDE, Axis, Method, Pretraining, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex
from diffclip.training.options import Options, mask_ratio_of
from diffclip.training.variants import VARIANTS

if TYPE_CHECKING:
    from diffclip.model.classifier import DiffCLIP


class DiffCLIPMethod(Method):
    """Masked diffusion on unlabelled windows, then few-shot alignment of windows with class texts.

    Zhang et al., "DiffCLIP: Few-shot Language-driven Multimodal Classifier", AAAI 2025, arXiv 2412.07119.
    """

    title = "DiffCLIP"
    reference = "AAAI 2025, arXiv 2412.07119; github.com/icey-zhang/DiffCLIP"
    uses_device = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = VARIANTS
    Options = Options  # type: ignore[assignment]

    @property
    def axes(self) -> frozenset[Axis]:  # type: ignore[override]
        """The mask ratio matters to stage 1 alone, and there to modalities that have none of their own."""
        options = self.options
        asked = any(mask_ratio_of(name, options.mask_ratios, None) is None for name in options.modalities)
        masked = options.pretrain != "none" and options.masking and asked
        return frozenset({"window", "mask_ratio"} if masked else {"window"})

    @property
    def clip_weights(self) -> str:
        """Which CLIP the class texts went through, if any; a file is named with the start of its checksum."""
        from diffclip.language.embeddings import embeddings_name
        from diffclip.language.weights import weights_name

        options = self.options
        if options.head == "linear" or options.text_tower == "scratch":
            return "none"
        if options.text_tower == "file":
            return embeddings_name(Path(options.text_file))
        return weights_name(options.clip_model, options.clip_weights)

    @property
    def transductive(self) -> bool:  # type: ignore[override]
        """Stage 1 on the scene itself looks at all of its windows, test windows included; so does a graph.

        An encoder that is used as it is takes the statistics of untrained stems from the scene's pixels.
        """
        options = self.options
        on_scene = options.pretrain == "scene" and not options.pretrain_scene
        untrained = options.pretrain == "none" or bool(options.pretrain_scene)
        return options.graph or on_scene or (options.frozen_encoder and untrained)

    @property
    def uses_validation(self) -> bool:  # type: ignore[override]
        """The released code picks the best epoch by labelled pixels."""
        return "validation_picks_checkpoint" in self.options.reference_quirks

    @property
    def tests_on_validation(self) -> bool:  # type: ignore[override]
        """And it tests on them."""
        return "validation_in_test" in self.options.reference_quirks

    def reach(self, window: int | None) -> int | Literal["scene"]:
        """Profiles are made over the whole scene, and a graph joins all of it; else what windows show."""
        return SCENE_WIDE if self.options.profiles or self.options.graph else self.window_reach(window)

    def window_reach(self, window: int | None) -> int:
        """Half a window; twice as far where the pixel may stand at a window's edge."""
        assert window is not None
        return window // 2 * (2 if self.options.moved_windows else 1)

    def check(self, window: int | None) -> None:
        """Tokens fill the window, crops leave something of it, and windows on a grid hold every pixel."""
        assert window is not None
        if window % self.options.token_size:
            size = self.options.token_size
            raise UserError(f"token_size: found {size}, expected a divisor of the window {window}")
        if self.options.crops and window < 3:
            raise UserError(f"crops: found a window of {window} pixel, expected 3 or more")
        if self.options.stride > window // 2 + 1:
            expected = f"at most {window // 2 + 1}, so that a window of {window} holds every pixel"
            raise UserError(f"stride: found {self.options.stride}, expected {expected}")

    def pretraining(self, window: int | None, mask_ratio: float | None) -> Pretraining | None:
        """Stage 1, named by everything that decides its weights; with labelled pixels it is a part of `fit`."""
        if self.options.pretrain != "scene":
            return None
        settings = self.options.stage_1(window, mask_ratio)
        return Pretraining(
            name=f"diffclip_window-{window}_mask-{settings['mask_ratio']:g}",
            function="diffclip.training.pretraining:pretrain",
            settings=settings,
            scene=self.options.pretrain_scene or None,
            # Of another scene there may be weights that this one has no use for.
            inspection=None if self.options.pretrain_scene else "diffclip.training.inspection:inspect",
            many="diffclip.training.pretraining:pretrain_many",
        )

    def fit(self, task: FewShotTask) -> None:
        """Stage 2, after stage 1 where that learns from the labelled pixels' windows."""
        from diffclip.training.finetuning import finetune, start, trained
        from diffclip.training.transduction import multiplied, spread_over_scene

        if not self.options.graph:
            self.model, self.texts, self.windows = finetune(task, self.options)
            return
        begun = start(task, self.options)
        shares = spread_over_scene(begun.model.encoder, begun.windows, task, self.options)
        self.model, self.texts, self.windows = trained(begun, task, self.options)
        self.everywhere = multiplied(self._scores(np.arange(task.scene.n_pixels)), shares)

    @classmethod
    def fit_many(cls, methods: Sequence[DiffCLIPMethod], tasks: Sequence[FewShotTask]) -> None:
        """Stage 2 of several seeds as one model, where they join."""
        if not methods[0].joins_seeds:
            super().fit_many(methods, tasks)
            return
        from diffclip.training.finetuning import start, trained_many

        options = methods[0].options
        begun = [start(task, options) for task in tasks]
        for method, found in zip(methods, trained_many(begun, tasks, options), strict=True):
            method.model, method.texts, method.windows = found

    @property
    def joins_seeds(self) -> bool:
        """A graph of the scene and the choice among epochs are made for each seed by itself."""
        return not self.options.graph and not self.uses_validation

    def predict(self, pixels: PixelIndex) -> Scores:
        """Scaled cosines between pixels and class texts; with a graph, logarithms of products of probabilities."""
        return self.everywhere[pixels] if self.options.graph else self._scores(pixels)

    def _scores(self, pixels: PixelIndex) -> Scores:
        from diffclip.training.inference import scores, times_of

        task, stride = self.task, self.options.stride
        times = times_of(task, self.options)
        return scores(self.model, self.texts, self.windows, pixels, task.device, times, stride, self.options.precision)

    @property
    def n_parameters(self) -> int | None:
        """Trained parameters of encoder, head, text tower and temperature."""
        model: DiffCLIP = self.model
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

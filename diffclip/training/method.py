"""DiffCLIP as a method of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from diffclip.language.prompts import PromptSet
from diffclip.protocol.method import Axis, Method, Pretraining, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex, Scaling

if TYPE_CHECKING:
    from diffclip.model.classifier import DiffCLIP

# Options that decide the checkpoint of stage 1; the others may change without making it again.
_STAGE_1 = (
    "scaling", "token_size", "stem", "width", "depth", "heads", "mlp_ratio", "decoder_width", "decoder_depth",
    "decoder_heads", "diffusion", "diffusion_steps", "hidden_weight", "visible_weight", "pretrain_steps",
    "pretrain_batch", "pretrain_lr", "pretrain_weight_decay",
)  # fmt: skip


class DiffCLIPMethod(Method):
    """Masked diffusion on unlabelled windows, then few-shot alignment of windows with class texts.

    Zhang et al., "DiffCLIP: Few-shot Language-driven Multimodal Classifier", AAAI 2025, arXiv 2412.07119.
    """

    title = "DiffCLIP"
    reference = "AAAI 2025, arXiv 2412.07119; github.com/icey-zhang/DiffCLIP"
    uses_device = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"in-domain-clip": {"pretrain": "none"}}

    @dataclass(frozen=True)
    class Options:
        """Defaults are the released configuration; its known deviations from the paper are not repeated.

        Attributes:
            scaling: of the scene's channels.
            token_size: side of a token in pixels; must divide the window.
            stem, width, depth, heads, mlp_ratio: sizes of the encoder.
            decoder_width, decoder_depth, decoder_heads: sizes of each decoder.
            pretrain: stage 1 on all windows of the "scene" (no labels involved), or "none".
            diffusion: False hides tokens without adding noise (a plain masked autoencoder).
            diffusion_steps: of the noise schedule.
            hidden_weight, visible_weight: of the errors on hidden and visible tokens.
            pretrain_steps, pretrain_batch, pretrain_lr, pretrain_weight_decay: optimisation of stage 1.
            epochs, batch, lr, weight_decay: optimisation of stage 2; lr falls tenfold after 2/3 and 7/8 of the epochs.
            temperature: initial temperature of the cosines.
            embedding: width of the space that windows and texts share.
            prompts: sentences about the classes.
            text_width, text_depth, text_heads: sizes of the text tower.
        """

        scaling: Scaling = "standard"
        token_size: int = 1
        stem: int = 128
        width: int = 128
        depth: int = 4
        heads: int = 8
        mlp_ratio: float = 2.0
        decoder_width: int = 128
        decoder_depth: int = 3
        decoder_heads: int = 8
        pretrain: Literal["scene", "none"] = "scene"
        diffusion: bool = True
        diffusion_steps: int = 1000
        hidden_weight: float = 0.1
        visible_weight: float = 1.0
        pretrain_steps: int = 2000
        pretrain_batch: int = 128
        pretrain_lr: float = 1e-4
        pretrain_weight_decay: float = 1e-4
        epochs: int = 150
        batch: int = 128
        lr: float = 1e-4
        weight_decay: float = 1e-5
        temperature: float = 0.07
        embedding: int = 128
        prompts: PromptSet = "p1"
        text_width: int = 128
        text_depth: int = 3
        text_heads: int = 8

        def __post_init__(self) -> None:
            for width, heads in (("width", "heads"), ("decoder_width", "decoder_heads"), ("text_width", "text_heads")):
                if getattr(self, width) % getattr(self, heads):
                    found = f"{width} {getattr(self, width)} and {heads} {getattr(self, heads)}"
                    raise ValueError(f"found {found}, expected {width} to be a multiple of {heads}")
            for width in ("width", "decoder_width"):
                if getattr(self, width) % 4:
                    raise ValueError(f"found {width} {getattr(self, width)}, expected a multiple of 4")

    @property
    def axes(self) -> frozenset[Axis]:  # type: ignore[override]
        """The mask ratio matters to stage 1 alone."""
        return frozenset({"window"} if self.options.pretrain == "none" else {"window", "mask_ratio"})

    @property
    def transductive(self) -> bool:  # type: ignore[override]
        """Stage 1 looks at all windows of the scene, test windows included."""
        return self.options.pretrain == "scene"

    def pretraining(self, window: int | None, mask_ratio: float | None) -> Pretraining | None:
        """Stage 1, named by everything that decides its weights."""
        if self.options.pretrain == "none":
            return None
        settings = {name: getattr(self.options, name) for name in _STAGE_1}
        return Pretraining(
            name=f"diffclip_window-{window}_mask-{mask_ratio:g}",
            function="diffclip.training.pretraining:pretrain",
            settings={"window": window, "mask_ratio": mask_ratio, **settings},
        )

    def fit(self, task: FewShotTask) -> None:
        """Stage 2."""
        from diffclip.training.finetuning import finetune

        self.model, self.texts, self.windows = finetune(task, self.options)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Scaled cosines between windows and class texts."""
        from diffclip.training.inference import scores

        return scores(self.model, self.texts, self.windows, pixels, self.task.device)

    @property
    def n_parameters(self) -> int | None:
        """Trained parameters of encoder, head, text tower and temperature."""
        model: DiffCLIP = self.model
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

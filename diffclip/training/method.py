"""DiffCLIP as a method of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from diffclip.errors import UserError
from diffclip.language.prompts import Prompts
from diffclip.protocol.method import Axis, Method, Pretraining, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Modality, PixelIndex, Scaling
from diffclip.training.quirks import QUIRKS, STAGE_1, Quirk, settled

if TYPE_CHECKING:
    from diffclip.model.classifier import DiffCLIP

# Options that decide the weights of stage 1; the others may change without making them again.
_STAGE_1 = (
    "scaling", "token_size", "stem", "width", "depth", "heads", "mlp_ratio", "decoder_width", "decoder_depth",
    "decoder_heads", "shared_encoder", "crops", "diffusion", "diffusion_steps", "hidden_weight", "visible_weight",
    "pretrain_batch", "pretrain_lr", "pretrain_weight_decay",
)  # fmt: skip


class DiffCLIPMethod(Method):
    """Masked diffusion on unlabelled windows, then few-shot alignment of windows with class texts.

    Zhang et al., "DiffCLIP: Few-shot Language-driven Multimodal Classifier", AAAI 2025, arXiv 2412.07119.
    """

    title = "DiffCLIP"
    reference = "AAAI 2025, arXiv 2412.07119; github.com/icey-zhang/DiffCLIP"
    uses_device = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as-released": {"reference_quirks": QUIRKS},
        "as-written": {"text_tower": "clip"},
        "in-domain-clip": {"pretrain": "none"},
        "without-stage-1": {"pretrain": "none"},
        "pretrain-labelled": {"pretrain": "labelled"},
        "without-noise": {"diffusion": False},
        "without-masking": {"masking": False},
        "separate-encoders": {"shared_encoder": False},
        "hsi-only": {"modalities": ["hsi"]},
        "aux-only": {"modalities": ["aux"]},
        "linear-head": {"head": "linear"},
        "prompts-p2": {"prompts": ["p2"]},
        "prompts-p3": {"prompts": ["p3"]},
        "prompts-descriptions": {"prompts": ["descriptions"]},
        "prompts-all": {"prompts": ["p1", "p2", "p3", "descriptions"]},
    }

    @dataclass(frozen=True)
    class Options:
        """Defaults are the released configuration; its known deviations from the paper are not repeated.

        Attributes:
            modalities: which the network sees, in this order.
            scaling: of the scene's channels.
            token_size: side of a token in pixels; must divide the window.
            stem, width, depth, heads, mlp_ratio: sizes of the encoder.
            shared_encoder: False gives each modality blocks and a final norm of its own.
            decoder_width, decoder_depth, decoder_heads: sizes of each decoder.
            pretrain: stage 1 on all windows of the "scene" (no labels involved), on the windows of the task's
                training pixels alone ("labelled"), or "none".
            pretrain_scene: card's name of another scene for stage 1; "" is the tested one.
            masking: False hides nothing (plain denoising; without diffusion too, a plain autoencoder).
            aux_mask_ratio: share of hidden tokens of auxiliary rasters; None is the study's mask ratio.
            crops: stage 1 cuts one pixel off the border of every second window and stretches the rest.
            diffusion: False hides tokens without adding noise (a plain masked autoencoder).
            diffusion_steps: of the noise schedule.
            hidden_weight, visible_weight: of the errors on hidden and visible tokens.
            pretrain_steps, pretrain_batch, pretrain_lr, pretrain_weight_decay: optimisation of stage 1.
            pretrain_epochs: length of stage 1 on labelled pixels, in the place of `pretrain_steps`.
            epochs, batch, lr, weight_decay: optimisation of stage 2; lr falls tenfold after 2/3 and 7/8 of the epochs.
            temperature: initial temperature of the cosines.
            embedding: width of the space that windows and texts share.
            head: "language" compares windows with class texts; "linear" puts a linear classifier in their place.
            text_tower: "scratch" trains a small one; "clip" takes a frozen one from open_clip; "file" takes class
                embeddings from a file. The last two are projected to the embedding by one learned matrix.
            prompts: sentences about the classes, of one set or the mean over several; those of a file are its own.
            text_width, text_depth, text_heads: sizes of the text tower that is trained.
            clip_model: open_clip's name of the model.
            clip_weights: open_clip's tag, the path of a local file, or "random".
            text_file: an .npz file of `diffclip embed-texts`, for text_tower "file"; relative to the working folder.
            reference_quirks: what the released code does otherwise than intended, see `quirks.py`; each may set
                another option.
        """

        modalities: tuple[Modality, ...] = ("hsi", "aux")
        scaling: Scaling = "standard"
        token_size: int = 1
        stem: int = 128
        width: int = 128
        depth: int = 4
        heads: int = 8
        mlp_ratio: float = 2.0
        shared_encoder: bool = True
        decoder_width: int = 128
        decoder_depth: int = 3
        decoder_heads: int = 8
        pretrain: Literal["scene", "labelled", "none"] = "scene"
        pretrain_scene: str = ""
        masking: bool = True
        aux_mask_ratio: float | None = None
        crops: bool = False
        diffusion: bool = True
        diffusion_steps: int = 1000
        hidden_weight: float = 0.1
        visible_weight: float = 1.0
        pretrain_steps: int = 2000
        pretrain_epochs: int = 400
        pretrain_batch: int = 128
        pretrain_lr: float = 1e-4
        pretrain_weight_decay: float = 1e-4
        epochs: int = 150
        batch: int = 128
        lr: float = 1e-4
        weight_decay: float = 1e-5
        temperature: float = 0.07
        embedding: int = 128
        head: Literal["language", "linear"] = "language"
        text_tower: Literal["scratch", "clip", "file"] = "scratch"
        prompts: Prompts = ("p1",)
        text_width: int = 128
        text_depth: int = 3
        text_heads: int = 8
        clip_model: str = "ViT-B-32"
        clip_weights: str = "openai"
        text_file: str = ""
        reference_quirks: tuple[Quirk, ...] = ()

        def __post_init__(self) -> None:
            for name, value in settled(self).items():
                object.__setattr__(self, name, value)
            for width, heads in (("width", "heads"), ("decoder_width", "decoder_heads"), ("text_width", "text_heads")):
                if getattr(self, width) % getattr(self, heads):
                    found = f"{width} {getattr(self, width)} and {heads} {getattr(self, heads)}"
                    raise ValueError(f"found {found}, expected {width} to be a multiple of {heads}")
            for width in ("width", "decoder_width"):
                if getattr(self, width) % 4:
                    raise ValueError(f"found {width} {getattr(self, width)}, expected a multiple of 4")
            if self.text_tower == "file" and not self.text_file:
                raise ValueError("found text_tower file and no text_file, expected the path of an .npz file in it")
            if not self.modalities or len(set(self.modalities)) < len(self.modalities):
                raise ValueError(f"found modalities {list(self.modalities)}, expected one or more, each once")
            if self.pretrain_scene and self.pretrain != "scene":
                raise ValueError(f"found pretrain_scene and pretrain {self.pretrain}, expected pretrain scene")
            if "/" in self.pretrain_scene or self.pretrain_scene.endswith(".yaml"):
                raise ValueError(f"found pretrain_scene {self.pretrain_scene}, expected the name of a card, not a path")
            if self.aux_mask_ratio is not None and not 0 <= self.aux_mask_ratio < 1:
                raise ValueError(f"found aux_mask_ratio {self.aux_mask_ratio}, expected 0 <= ratio < 1")
            if (
                "validation_in_test" in self.reference_quirks
                and "validation_picks_checkpoint" not in self.reference_quirks
            ):
                raise ValueError("found the quirk validation_in_test, expected validation_picks_checkpoint beside it")

        def stage_1(self, window: int | None, mask_ratio: float | None) -> dict[str, Any]:
            """Return everything that decides the weights of stage 1, as JSON values."""
            ratio = mask_ratio if self.masking and mask_ratio is not None else 0.0
            aux_ratio = self.aux_mask_ratio if self.masking and self.aux_mask_ratio is not None else ratio
            length = "pretrain_epochs" if self.pretrain == "labelled" else "pretrain_steps"
            return {
                "window": window,
                "mask_ratio": ratio,
                "aux_mask_ratio": aux_ratio,
                "modalities": list(self.modalities),
                "reference_quirks": [quirk for quirk in self.reference_quirks if quirk in STAGE_1],
                **{name: getattr(self, name) for name in (*_STAGE_1, length)},
            }

    @property
    def axes(self) -> frozenset[Axis]:  # type: ignore[override]
        """The mask ratio matters to stage 1 alone, and there to modalities that have none of their own."""
        options = self.options
        asked = "hsi" in options.modalities or options.aux_mask_ratio is None
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
        """Stage 1 on the scene itself looks at all of its windows, test windows included."""
        return self.options.pretrain == "scene" and not self.options.pretrain_scene

    @property
    def uses_validation(self) -> bool:  # type: ignore[override]
        """The released code picks the best epoch by labelled pixels."""
        return "validation_picks_checkpoint" in self.options.reference_quirks

    @property
    def tests_on_validation(self) -> bool:  # type: ignore[override]
        """And it tests on them."""
        return "validation_in_test" in self.options.reference_quirks

    def check(self, window: int | None) -> None:
        """Tokens fill the window, and crops leave something of it."""
        assert window is not None
        if window % self.options.token_size:
            size = self.options.token_size
            raise UserError(f"token_size: found {size}, expected a divisor of the window {window}")
        if self.options.crops and window < 3:
            raise UserError(f"crops: found a window of {window} pixel, expected 3 or more")

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
        )

    def fit(self, task: FewShotTask) -> None:
        """Stage 2, after stage 1 where that learns from the labelled pixels' windows."""
        from diffclip.training.finetuning import finetune

        self.model, self.texts, self.windows = finetune(task, self.options)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Scaled cosines between windows and class texts."""
        from diffclip.training.inference import scores, times_of

        times = times_of(self.task, self.options)
        return scores(self.model, self.texts, self.windows, pixels, self.task.device, times)

    @property
    def n_parameters(self) -> int | None:
        """Trained parameters of encoder, head, text tower and temperature."""
        model: DiffCLIP = self.model
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

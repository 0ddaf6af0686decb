"""Stage 2: align the few labelled windows with their class texts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.model.classifier import MAX_SCALE, DiffCLIP, contrastive_loss, instance_loss
from diffclip.model.encoder import Encoder
from diffclip.progress import Progress
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import seeded_torch
from diffclip.training.inference import scores, times_of
from diffclip.training.pretraining import pretrain_labelled
from diffclip.training.texts import class_texts
from diffclip.training.windows import SceneWindows, architecture, batches

log = logging.getLogger(__name__)


def finetune(task: FewShotTask, options: Any) -> tuple[DiffCLIP, Tensor, SceneWindows]:
    """Train a classifier on the task's labelled pixels, from stage 1's encoder where stage 1 is asked for.

    No checkpoint is picked: the weights are those of the last epoch, unless a quirk of the released code is asked for.

    Args:
        task: labelled pixels, class names, seed, device.
        options: `DiffCLIPMethod.Options`.

    Returns:
        The model in evaluation mode, the class texts' embeddings (K, E), and the scene's windows on the device.
    """
    windows = SceneWindows(task.scene, options.scaling, task.window, task.device, options.modalities)
    with seeded_torch(task.seed, "stage 2", "initial weights"):
        inputs, tower = class_texts(task, options)
        model = DiffCLIP(
            windows.channels,
            architecture(options, task.window),
            tower,
            options.embedding,
            None if options.head == "linear" else options.temperature,
            math.inf if "warm_logit_scale" in options.reference_quirks else MAX_SCALE,
        )
        if "tiny_head" in options.reference_quirks:
            _shrink(model.head)
    if options.pretrain != "none":
        _load_encoder(model.encoder, _stage_1(task, options), strict=not options.pretrain_scene)
    model.to(task.device)
    inputs = inputs.to(task.device)
    with repeatable_kernels(task.device):
        _train(model, inputs, windows, task, options)
    model.eval()
    with torch.no_grad():
        texts = model.texts(inputs)
    return model, texts, windows


def _stage_1(task: FewShotTask, options: Any) -> dict[str, Tensor]:
    """Return stage 1's weights: of the task's checkpoint, or learned here from the labelled pixels' windows."""
    if options.pretrain == "labelled":
        return pretrain_labelled(task, options.stage_1(task.window, task.study_mask_ratio))
    if task.pretrained is None:
        raise UserError("task.pretrained: found none, expected stage 1's checkpoint (or the option pretrain: none)")
    return load_file(task.pretrained)


def _load_encoder(encoder: Encoder, weights: Mapping[str, Tensor], *, strict: bool) -> None:
    """Take over stage 1's encoder.

    Args:
        encoder: to be filled.
        weights: of stage 1.
        strict: False, for weights of another scene: a stem of another number of channels keeps its initial weights,
            and so does a modality that the other scene does not have.
    """
    prefix, own = "encoder.", encoder.state_dict()
    stored = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if not strict:
        misfits = [name for name, value in own.items() if name not in stored or stored[name].shape != value.shape]
        # The later layers of a stem are of no use behind a first one that they have never met.
        anew = {start + stem for name in misfits for start, stem, _ in [name.partition(".stem.")]}
        for part in sorted(anew):
            log.info("stage 1 of another scene: %s does not fit and starts anew", part.rstrip("."))
        stored = {name: value if name.startswith(tuple(anew)) else stored[name] for name, value in own.items()}
    encoder.load_state_dict(stored)


@torch.no_grad()
def _shrink(head: nn.Linear) -> None:
    """Start the head as the released code does; random numbers come from torch's global generator."""
    head.reset_parameters()
    head.weight.normal_(std=2e-5)


def _loss(options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    if options.head == "linear":
        return cross_entropy
    return instance_loss if "same_class_negatives" in options.reference_quirks else contrastive_loss


def _time_steps(task: FewShotTask, options: Any) -> Callable[[Tensor], Tensor]:
    """Return what gives a batch its time steps: 0, or random ones as in the released code."""
    if "clean_finetune_random_time" not in options.reference_quirks:
        return torch.zeros_like
    generator = task.torch_generator("stage 2 time steps", on_device=True)
    return lambda batch: torch.randint(options.diffusion_steps, batch.shape, generator=generator, device=batch.device)


class Picked:
    """The weights of the epoch that classifies most validation pixels rightly, the first of equals.

    Args:
        task: validation pixels and labels.
        options: `DiffCLIPMethod.Options`.

    Raises:
        UserError: the task has no validation pixels.
    """

    def __init__(self, task: FewShotTask, options: Any) -> None:
        if task.validation_pixels is None or task.validation_labels is None:
            raise UserError("task.validation_pixels: found none, expected those of protocol paper")
        self._pixels, self._device = task.validation_pixels, task.device
        self._targets = np.searchsorted(task.classes, task.validation_labels)
        self._times = times_of(task, options)
        self._best = -1.0
        self._weights: dict[str, Tensor] = {}

    def see(self, model: DiffCLIP, inputs: Tensor, windows: SceneWindows) -> None:
        """Keep the model's weights if they are better than all before."""
        model.eval()
        with torch.no_grad():
            texts = model.texts(inputs)
        found = scores(model, texts, windows, self._pixels, self._device, self._times).argmax(axis=1)
        model.train()
        accuracy = float((found == self._targets).mean())
        if accuracy > self._best:
            self._best = accuracy
            self._weights = {name: value.clone() for name, value in model.state_dict().items()}

    def put_back(self, model: DiffCLIP) -> None:
        """Give the model the best weights seen."""
        if self._weights:
            model.load_state_dict(self._weights)


def _train(model: DiffCLIP, inputs: Tensor, windows: SceneWindows, task: FewShotTask, options: Any) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    milestones = [round(options.epochs * share) for share in (2 / 3, 7 / 8)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones)
    pixels = torch.from_numpy(task.train_pixels).to(task.device)
    targets = torch.from_numpy(task.train_targets).to(task.device)
    loss_of = _loss(options)
    draw_times = _time_steps(task, options)
    picked = Picked(task, options) if "validation_picks_checkpoint" in options.reference_quirks else None
    order = task.rng("stage 2 batches")
    progress = Progress(f"stage 2, seed {task.seed}", options.epochs)
    model.train()
    for _ in progress:
        shuffled = torch.from_numpy(order.permutation(len(pixels))).to(task.device)
        for batch in batches(shuffled, options.batch):
            images = model.images(windows(pixels[batch]), draw_times(batch))
            loss = loss_of(model.logits(images, model.texts(inputs)), targets[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        progress.note(loss=loss.detach())
        schedule.step()
        if picked is not None:
            picked.see(model, inputs, windows)
    if picked is not None:
        picked.put_back(model)

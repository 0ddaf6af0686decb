"""Stage 2: align the few labelled windows with their class texts."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.model.classifier import DiffCLIP, contrastive_loss
from diffclip.progress import Progress
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import seeded_torch
from diffclip.training.texts import class_texts
from diffclip.training.windows import SceneWindows, architecture


def finetune(task: FewShotTask, options: Any) -> tuple[DiffCLIP, Tensor, SceneWindows]:
    """Train a classifier on the task's labelled pixels, from the task's checkpoint where stage 1 is asked for.

    No checkpoint is picked: the weights are those of the last epoch.

    Args:
        task: labelled pixels, class names, seed, device.
        options: `DiffCLIPMethod.Options`.

    Returns:
        The model in evaluation mode, the class texts' embeddings (K, E), and the scene's windows on the device.
    """
    windows = SceneWindows(task.scene, options.scaling, task.window, task.device)
    with seeded_torch(task.seed, "stage 2", "initial weights"):
        inputs, tower = class_texts(task, options)
        model = DiffCLIP(
            windows.channels, architecture(options, task.window), tower, options.embedding, options.temperature
        )
    if options.pretrain != "none":
        _load_encoder(model, task)
    model.to(task.device)
    inputs = inputs.to(task.device)
    with repeatable_kernels(task.device):
        _train(model, inputs, windows, task, options)
    model.eval()
    with torch.no_grad():
        texts = model.texts(inputs)
    return model, texts, windows


def _load_encoder(model: DiffCLIP, task: FewShotTask) -> None:
    if task.pretrained is None:
        raise UserError("task.pretrained: found none, expected stage 1's checkpoint (or the option pretrain: none)")
    prefix = "encoder."
    weights = load_file(task.pretrained)
    encoder = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    model.encoder.load_state_dict(encoder)


def _train(model: DiffCLIP, inputs: Tensor, windows: SceneWindows, task: FewShotTask, options: Any) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    milestones = [round(options.epochs * share) for share in (2 / 3, 7 / 8)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones)
    pixels = torch.from_numpy(task.train_pixels).to(task.device)
    targets = torch.from_numpy(task.train_targets).to(task.device)
    order = task.rng("stage 2 batches")
    progress = Progress(f"stage 2, seed {task.seed}", options.epochs)
    model.train()
    for _ in progress:
        shuffled = torch.from_numpy(order.permutation(len(pixels))).to(task.device)
        for batch in _batches(shuffled, options.batch):
            images = model.images(windows(pixels[batch]), torch.zeros_like(batch))
            loss = contrastive_loss(model.logits(images, model.texts(inputs)), targets[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        progress.note(loss=loss.detach())
        schedule.step()


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch into batches; a last batch of one joins the one before it, for the sake of batch norm."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches

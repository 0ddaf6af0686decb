"""Stage 2: align the few labelled windows with their class texts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from diffclip.device import repeatable_kernels
from diffclip.errors import UserError
from diffclip.layers import BatchNorm
from diffclip.model.classifier import MAX_SCALE, DiffCLIP, contrastive_loss, instance_loss
from diffclip.model.encoder import Encoder
from diffclip.model.masking import Kept
from diffclip.progress import Progress
from diffclip.protocol.task import FewShotTask
from diffclip.randomness import seeded_torch
from diffclip.seeds import apart, together
from diffclip.training.optimisation import running_average, stage_2_optimiser
from diffclip.training.picking import Picked
from diffclip.training.pretraining import pretrain_labelled
from diffclip.training.sampling import orders, viewer
from diffclip.training.texts import class_texts
from diffclip.training.updates import Batch, Updates, computed_in, stacked
from diffclip.training.windows import SceneWindows, architecture, batches

log = logging.getLogger(__name__)

# Pixels that an untrained stem takes its statistics from.
_STATISTICS = 10_000


class Start(NamedTuple):
    """Where stage 2 starts.

    Attributes:
        model: its encoder from stage 1 where that is asked for, all else freshly initialised; on the device.
        inputs: what the text tower takes, on the device.
        windows: of the scene, on the device.
    """

    model: DiffCLIP
    inputs: Tensor
    windows: SceneWindows


def finetune(task: FewShotTask, options: Any) -> tuple[DiffCLIP, Tensor, SceneWindows]:
    """Train a classifier on the task's labelled pixels, from stage 1's encoder where stage 1 is asked for.

    No checkpoint is picked: the weights are those of the last epoch, or their running average, unless a quirk of the
    released code is asked for.

    Args:
        task: labelled pixels, class names, seed, device.
        options: `Options`.

    Returns:
        The model in evaluation mode, the class texts' embeddings (K, E), and the scene's windows on the device.
    """
    return trained(start(task, options), task, options)


def start(task: FewShotTask, options: Any) -> Start:
    """Return the model as it is before stage 2; arguments as for `finetune`."""
    windows = SceneWindows(
        task.scene, options.scaling, task.window, task.device, options.modalities, profiles=options.profiles
    )
    with seeded_torch(task.seed, "stage 2", "initial weights"):
        inputs, tower = class_texts(task, options)
        model = DiffCLIP(
            windows.channels,
            architecture(options, task.window),
            tower,
            options.embedding,
            None if options.head == "linear" else options.temperature,
            math.inf if "warm_logit_scale" in options.reference_quirks else MAX_SCALE,
            options.readout,
            windows.profiles if options.profile_skip else (),
        )
        if "tiny_head" in options.reference_quirks:
            _shrink(model.head)
    untrained = {f"modalities.{place}" for place in range(len(windows.channels))}
    if options.pretrain != "none":
        untrained = _load_encoder(model.encoder, _stage_1(task, options), strict=not options.pretrain_scene)
    model = model.to(task.device)
    if options.uses_encoder_as_it_is:
        _take_statistics(model.encoder, untrained, windows, task)
    return Start(model, inputs.to(task.device), windows)


def trained(begun: Start, task: FewShotTask, options: Any) -> tuple[DiffCLIP, Tensor, SceneWindows]:
    """Train what `start` returned; see `finetune`."""
    return trained_many([begun], [task], options)[0]


def trained_many(
    begun: Sequence[Start], tasks: Sequence[FewShotTask], options: Any
) -> list[tuple[DiffCLIP, Tensor, SceneWindows]]:
    """Train what `start` returned for one seed, or for several as one model; see `finetune`."""
    device = tasks[0].device
    with repeatable_kernels(device, strictly=True):
        models = _train(begun, tasks, options)
    found = []
    for model, one in zip(models, begun, strict=True):
        model.eval()
        with torch.no_grad(), computed_in(options.precision, device):
            found.append((model, model.texts(one.inputs).float(), one.windows))
    return found


def _stage_1(task: FewShotTask, options: Any) -> dict[str, Tensor]:
    """Return stage 1's weights: of the task's checkpoint, or learned here from the labelled pixels' windows."""
    if options.pretrain == "labelled":
        return pretrain_labelled(task, options.stage_1(task.window, task.study_mask_ratio))
    if task.pretrained is None:
        raise UserError("task.pretrained: found none, expected stage 1's checkpoint (or the option pretrain: none)")
    return load_file(task.pretrained)


def _load_encoder(encoder: Encoder, weights: Mapping[str, Tensor], *, strict: bool) -> set[str]:
    """Take over stage 1's encoder; return the modalities whose stems are as new.

    Args:
        encoder: to be filled.
        weights: of stage 1.
        strict: False, for weights of another scene: a stem of another number of channels keeps its initial weights,
            and so does a modality that the other scene does not have.
    """
    prefix, own = "encoder.", encoder.state_dict()
    stored = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    anew: set[str] = set()
    if not strict:
        misfits = [name for name, value in own.items() if name not in stored or stored[name].shape != value.shape]
        # The later layers of a stem are of no use behind a first one that they have never met.
        anew = {start + stem for name in misfits for start, stem, _ in [name.partition(".stem.")]}
        for part in sorted(anew):
            log.info("stage 1 of another scene: %s does not fit and starts anew", part.rstrip("."))
        stored = {name: value if name.startswith(tuple(anew)) else stored[name] for name, value in own.items()}
    encoder.load_state_dict(stored)
    return {part.removesuffix(".stem.") for part in anew if part.endswith(".stem.")}


@torch.no_grad()
def _take_statistics(encoder: Encoder, modalities: Iterable[str], windows: SceneWindows, task: FewShotTask) -> None:
    """Give stems that nobody trained the batch statistics of pixels of the scene, which stage 1 would have left.

    Without them random weights would be handed unscaled numbers, and stage 1 would seem to have learned what is but a
    mean and a deviation of each channel.
    """
    drawn = torch.randperm(task.scene.n_pixels, generator=task.torch_generator("batch statistics"))[:_STATISTICS]
    pixels = windows.at(drawn.to(task.device))
    for name in sorted(modalities):
        stem = cast(nn.Sequential, encoder.get_submodule(f"{name}.stem"))
        norms = [layer for layer in stem if isinstance(layer, BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        stem.train()(pixels[int(name.rpartition(".")[2])])
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@torch.no_grad()
def _shrink(head: nn.Linear) -> None:
    """Start the head as the released code does; random numbers come from torch's global generator."""
    head.reset_parameters()
    head.weight.normal_(std=2e-5)


def _loss(options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    if options.head == "linear":
        return _class_loss
    return instance_loss if "same_class_negatives" in options.reference_quirks else contrastive_loss


def _class_loss(logits: Float[Tensor, "*seeds n K"], targets: Int64[Tensor, "*seeds n"]) -> Float[Tensor, "*seeds"]:
    if logits.ndim == 2:
        return cross_entropy(logits, targets)
    return torch.stack([_class_loss(*pair) for pair in zip(logits, targets, strict=True)])


def _time_steps(task: FewShotTask, options: Any) -> Callable[[Tensor], Tensor]:
    """Return what gives a batch its time steps: 0, or random ones as in the released code."""
    if "clean_finetune_random_time" not in options.reference_quirks:
        return torch.zeros_like
    generator = task.torch_generator("stage 2 time steps", on_device=True)
    return lambda batch: torch.randint(options.diffusion_steps, batch.shape, generator=generator, device=batch.device)


def _train(begun: Sequence[Start], tasks: Sequence[FewShotTask], options: Any) -> list[DiffCLIP]:
    """Return the trained models: those given, or the running averages of their weights."""
    epochs, per_epoch = _length(tasks[0], options)
    model, device = begun[0].model, tasks[0].device
    for one in begun:
        one.model.encoder.requires_grad_(not options.frozen_encoder)
    if len(begun) > 1:
        model = together([one.model for one in begun])
    optimiser, schedule = stage_2_optimiser(model, options, epochs, per_epoch)
    inputs = stacked([{"texts": one.inputs} for one in begun])["texts"]
    update = Updates(partial(_losses, model, inputs, options, device), optimiser, device, epochs * per_epoch)
    shown = [_batches(one, task, options) for one, task in zip(begun, tasks, strict=True)]
    picked = Picked(tasks[0], options) if "validation_picks_checkpoint" in options.reference_quirks else None
    average = running_average(model, options.weight_average)
    progress = Progress(f"stage 2, seed {', '.join(str(task.seed) for task in tasks)}", epochs)
    _learning(model, options)
    for _ in progress:
        for batches_of_seeds in islice(zip(*shown, strict=True), per_epoch):
            losses = update(stacked(batches_of_seeds))
            schedule.step()
            if average is not None:
                average.update_parameters(model)
        progress.note(loss=losses.mean())
        if picked is not None:
            picked.see(model, begun[0].inputs, begun[0].windows)
            _learning(model, options)
    if picked is not None:
        picked.put_back(model)
    learned = model if average is None else cast(DiffCLIP, average.module)
    if len(begun) == 1:
        return [learned]
    apart(learned, [one.model for one in begun])
    return [one.model for one in begun]


def _batches(begun: Start, task: FewShotTask, options: Any) -> Iterator[dict[str, Tensor]]:
    """Yield one seed's batches without end: windows, time steps, labelled pixels' places, targets, visible tokens."""
    pixels = torch.from_numpy(task.train_pixels).to(task.device)
    targets = torch.from_numpy(task.train_targets).to(task.device)
    draw_times = _time_steps(task, options)
    view_of = viewer(task, begun.windows, options, begun.model.tokens_of)
    for drawn in chain.from_iterable(orders(task, options)):
        batch = drawn.to(task.device)
        view = view_of(pixels[batch])
        shown = {f"window {place}": x for place, x in enumerate(begun.windows(view.centres))}
        shown |= {"time": draw_times(batch), "place": view.places[..., None], "target": targets[batch]}
        for place, kept in enumerate(view.kept or ()):
            shown |= {f"kept {place}": kept.index, f"hidden {place}": kept.hidden}
        yield shown


def _losses(model: DiffCLIP, inputs: Tensor, options: Any, device: str, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the loss over all seeds, and each one's."""
    count = sum(name.startswith("window") for name in batch)
    windows = [batch[f"window {place}"] for place in range(count)]
    kept = [Kept(batch[f"kept {place}"], batch[f"hidden {place}"]) for place in range(count) if "kept 0" in batch]
    with computed_in(options.precision, device):
        images = model.pixels(windows, batch["time"], batch["place"], kept or None)
        texts = model.texts(inputs)
    losses = _loss(options)(model.logits(images[..., 0, :].float(), texts.float()), batch["target"])
    return losses.sum(), losses


def _length(task: FewShotTask, options: Any) -> tuple[int, int]:
    """Return the number of epochs and the steps of each; with a length in steps, every step is an epoch."""
    if options.steps is not None:
        return options.steps, 1
    order = torch.arange(len(task.train_pixels))
    return options.epochs, len(batches(order, options.batch))


def _learning(model: DiffCLIP, options: Any) -> None:
    """Set what learns to training mode; a frozen encoder keeps its statistics too."""
    model.train()
    model.encoder.train(not options.frozen_encoder)

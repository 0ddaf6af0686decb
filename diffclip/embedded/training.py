"""Trains the embedded CLIP, writes it in open_clip's own format, and measures what it knows of a scene never seen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import log_softmax, normalize

from diffclip.device import repeatable_kernels
from diffclip.embedded.pairs import VIEWS, Pairs
from diffclip.embedded.recipe import ARCHITECTURE, Recipe, simulation
from diffclip.files import write_atomically
from diffclip.language.clip import Clip, load_clip
from diffclip.language.prompted import encode_tokens
from diffclip.language.prompts import PromptSet, class_prompts
from diffclip.language.tower import mean_embedding
from diffclip.language.weights import EMBEDDED, FOLDER_CONFIG, FOLDER_WEIGHTS
from diffclip.progress import Progress
from diffclip.randomness import rng, seeded_torch
from diffclip.scene.rendering import picture
from diffclip.scene.scene import Scene
from diffclip.scene.simulation import simulate
from diffclip.scene.windows import Windows

PROMPTS: PromptSet = "eurosat"


def train(folder: Path, recipe: Recipe, device: str) -> dict[str, Any]:
    """Train on image-text pairs, write the model below `folder`, and return what was measured (JSON values).

    The loss is CLIP's symmetric contrastive one, except that all captions of a window's class count as its own:
    batches hold many windows of each of the few classes (Yang et al., "Unified contrastive learning in
    image-text-label space", CVPR 2022, arXiv 2204.03610).
    """
    import open_clip

    scenes = [simulate(simulation(recipe, seed)) for seed in recipe.scenes]
    pairs = Pairs(scenes, recipe.windows, rng(recipe.seed, "embedded CLIP", "pairs"))
    with seeded_torch(recipe.seed, "embedded CLIP", device=device):
        model = open_clip.CLIP(**ARCHITECTURE).to(device).train()
        # What a model needs to know of its images; open_clip sets this for models that it makes by name.
        open_clip.factory.set_model_preprocess_cfg(model, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
        clip = Clip(model, open_clip.get_tokenizer("ViT-B-32"))
        with repeatable_kernels(device):
            losses = _optimise(clip, pairs, recipe, device)
    _save(model.cpu(), folder)
    return {
        "loss": losses[-1],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "zero_shot": zero_shot(load_clip("", str(folder), seed=0), recipe),
    }


def _optimise(clip: Clip, pairs: Pairs, recipe: Recipe, device: str) -> list[float]:
    model, losses = clip.model, []
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    progress = Progress("embedded CLIP", recipe.steps)
    for _ in progress:
        batch = pairs.batch(recipe.batch)
        captions, which = np.unique(batch.captions, return_inverse=True)
        texts = _encoded(clip, captions.tolist())[torch.from_numpy(which).to(device)]
        images = model.encode_image(clip.images(batch.windows.to(device)))
        loss = contrastive_loss(images, texts, batch.labels.to(device), model.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        # As CLIP does: cosines are never scaled by more than 100.
        model.logit_scale.data.clamp_(0, math.log(100))
        losses.append(float(loss.detach()))
        progress.note(loss=loss.detach())
    return losses


def _encoded(clip: Clip, captions: list[str]) -> Float[Tensor, "n D"]:
    """Return the embeddings of captions, encoded in groups of like length: a group is as long as its longest text."""
    ids = clip.tokens(captions).to(clip.device)
    groups = ids.argmax(dim=1).argsort(stable=True).chunk(4)
    found = torch.cat([encode_tokens(clip.model, ids[group]) for group in groups])
    return found[torch.cat(groups).argsort()]


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1))


def contrastive_loss(
    images: Float[Tensor, "n D"],
    texts: Float[Tensor, "n D"],
    labels: Int64[Tensor, " n"],
    log_scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Return the symmetric contrastive loss in which texts and images of one class belong together."""
    logits = log_scale.exp() * normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    together = (labels[:, None] == labels).float()
    target = together / together.sum(dim=1, keepdim=True)
    losses = [-(target * log_softmax(found, dim=1)).sum(dim=1).mean() for found in (logits, logits.T)]
    return (losses[0] + losses[1]) / 2


def _save(model: Any, folder: Path) -> None:
    """Write config and weights as open_clip lays them out; the config last, without it nothing is loaded."""
    from safetensors.torch import save

    (folder / FOLDER_CONFIG).unlink(missing_ok=True)
    weights = save({name: value.contiguous() for name, value in model.state_dict().items()})
    write_atomically(folder / FOLDER_WEIGHTS, lambda file: file.write(weights))
    images = {"mean": list(model.visual.image_mean), "std": list(model.visual.image_std), "interpolation": "bicubic"}
    # The last is for the suite, which says in records that these are stand-ins.
    config = json.dumps({"model_cfg": ARCHITECTURE, "preprocess_cfg": images, "made_as": EMBEDDED}, indent=1) + "\n"
    write_atomically(folder / FOLDER_CONFIG, lambda file: file.write(config.encode()))


def zero_shot(clip: Clip, recipe: Recipe) -> dict[str, Any]:
    """Return zero-shot accuracy (percent) on the fresh scene, as many pixels of every class, against chance."""
    scene = simulate(simulation(recipe, recipe.fresh))
    texts = clip.text_embeddings(class_prompts(PROMPTS, scene.class_names))
    classes = mean_embedding(texts, len(texts) // scene.n_classes)
    draw = rng(recipe.seed, "embedded CLIP", "fresh pixels")
    accuracy = {}
    for k, name in enumerate(scene.class_names, start=1):
        pixels = draw.permutation(np.flatnonzero(scene.labels.ravel() == k))[: recipe.checked_pixels]
        found = (_features(clip, scene, recipe.checked_window, pixels) @ normalize(classes, dim=-1).T).argmax(dim=1)
        accuracy[name] = round(100 * float((found == k - 1).float().mean()), 2)
    mean = sum(accuracy.values()) / len(accuracy)
    chance = 100 / scene.n_classes
    return {"scene_seed": recipe.fresh, "accuracy": round(mean, 2), "chance": chance, "per_class": accuracy}


@torch.no_grad()
def _features(clip: Clip, scene: Scene, side: int, pixels: np.ndarray) -> Float[Tensor, "n D"]:
    found = []
    for view in VIEWS:
        windows = Windows(picture(scene.imagery, view).astype(np.float32) / 255, side)
        images = clip.images(windows(torch.from_numpy(pixels)))
        found.append(normalize(clip.model.encode_image(images), dim=-1))
    return torch.stack(found).mean(dim=0)

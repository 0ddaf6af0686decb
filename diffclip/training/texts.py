"""The text side of stage 2: what is said of the classes, and the module that turns it into embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from diffclip.language.clip import clip_embeddings
from diffclip.language.embeddings import read_embeddings
from diffclip.language.prompts import all_prompts
from diffclip.language.tokenizer import tokenize, warn_of_cuts
from diffclip.language.tower import Ensemble, TextTower, mean_embedding
from diffclip.language.weights import located
from diffclip.protocol.task import FewShotTask


class ClassTexts(NamedTuple):
    """Class texts ready for training: `tower(inputs)` gives (K, E) embeddings.

    Attributes:
        inputs: what the tower takes, on the CPU.
        tower: the module, freshly initialised.
    """

    inputs: Tensor
    tower: nn.Module


def class_texts(task: FewShotTask, options: Any) -> ClassTexts:
    """Return the texts of a task's classes and a tower for them; initial weights come from torch's global generator.

    With a linear head no text is read: the "tower" is a table of the classes' weights.

    Args:
        task: class names and descriptions.
        options: `Options`.

    Raises:
        UserError: descriptions, weights or a file that are asked for are not there or not as expected.
    """
    if options.head == "linear":
        return _class_weights(len(task.classes), options.embedding)
    if options.text_tower == "file":
        return _projected(torch.from_numpy(read_embeddings(Path(options.text_file), task.class_names)), options)
    texts = all_prompts(options.prompts, task.class_names, task.class_descriptions)
    warn_of_cuts(task.class_names, texts)
    if options.text_tower == "clip":
        weights = located(options.clip_weights, task.embedded_clip)
        found = clip_embeddings(texts, options.clip_model, weights, task.seed)
        return _projected(mean_embedding(found, len(texts) // len(task.class_names)), options)
    return _from_scratch(texts, len(texts) // len(task.class_names), options)


def _class_weights(n_classes: int, width: int) -> ClassTexts:
    table = nn.Embedding(n_classes, width)
    nn.init.xavier_uniform_(table.weight)
    return ClassTexts(torch.arange(n_classes), table)


def _projected(embeddings: Float[Tensor, "K D"], options: Any) -> ClassTexts:
    """Return frozen embeddings under a learned projection, which starts as CLIP's own."""
    projection = nn.Linear(embeddings.shape[-1], options.embedding, bias=False)
    nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
    return ClassTexts(embeddings, projection)


def _from_scratch(texts: list[str], sets: int, options: Any) -> ClassTexts:
    tokens = tokenize(texts)
    tower: nn.Module = TextTower(
        len(tokens.vocabulary), options.text_width, options.text_depth, options.text_heads, options.embedding
    )
    return ClassTexts(tokens.ids, tower if sets == 1 else Ensemble(tower, sets))

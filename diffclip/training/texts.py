"""The text side of stage 2: what is said of the classes, and the module that turns it into embeddings."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from diffclip.language.prompts import class_prompts
from diffclip.language.tokenizer import tokenize
from diffclip.language.tower import TextTower
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

    Args:
        task: class names and descriptions.
        options: `DiffCLIPMethod.Options`.
    """
    tokens = tokenize(class_prompts(options.prompts, task.class_names, task.class_descriptions))
    tower = TextTower(
        len(tokens.vocabulary), options.text_width, options.text_depth, options.text_heads, options.embedding
    )
    return ClassTexts(tokens.ids, tower)

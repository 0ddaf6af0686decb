"""Sentences about classes, from their names or from a scene card's descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from diffclip.errors import UserError

PromptSet = Literal["p1", "p2", "p3", "descriptions"]


def _one_or_several(found: Any) -> Any:
    return (found,) if isinstance(found, str) else found


# One set or several; in YAML a single one needs no brackets.
Prompts = Annotated[tuple[PromptSet, ...], BeforeValidator(_one_or_several), Field(min_length=1)]

# The three wordings that DiffCLIP's authors tried; the first is their default.
_TEMPLATES = {
    "p1": "a multimodal fusion patch of a {}.",
    "p2": "a patch of a {}.",
    "p3": "a fine grained patch of a {}.",
}


def class_prompts(
    prompt_set: PromptSet, class_names: Sequence[str], class_descriptions: Sequence[str] = ()
) -> list[str]:
    """Return one sentence per class.

    Args:
        prompt_set: "p1", "p2" or "p3" put the name into a fixed sentence; "descriptions" takes the scene card's texts.
        class_names: K names.
        class_descriptions: K texts, or empty when the card has none.

    Raises:
        UserError: an unknown set, or descriptions are asked for and the card has none.
    """
    if prompt_set == "descriptions":
        if not class_descriptions:
            raise UserError("prompts: found no class descriptions in the scene's card, expected one per class")
        return list(class_descriptions)
    if prompt_set not in _TEMPLATES:
        raise UserError(f"prompts: found {prompt_set!r}, expected one of {', '.join(get_args(PromptSet))}")
    return [_TEMPLATES[prompt_set].format(name) for name in class_names]


def all_prompts(
    prompts: Sequence[PromptSet], class_names: Sequence[str], class_descriptions: Sequence[str] = ()
) -> list[str]:
    """Return the P * K sentences of P sets: all classes of the first set, then all of the second, and so on."""
    return [text for chosen in prompts for text in class_prompts(chosen, class_names, class_descriptions)]

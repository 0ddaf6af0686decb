"""Sentences about classes, from their names or from a scene card's descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from diffclip.errors import UserError

PromptSet = Literal["p1", "p2", "p3", "descriptions", "photo", "satellite", "eurosat", "resisc45"]


def _one_or_several(found: Any) -> Any:
    return (found,) if isinstance(found, str) else found


# One set or several; in YAML a single one needs no brackets.
Prompts = Annotated[tuple[PromptSet, ...], BeforeValidator(_one_or_several), Field(min_length=1)]

# p1 to p3 are the wordings that DiffCLIP's authors tried; the first is their default. The others are CLIP's own, for
# photographs at large and for two sets of satellite images (github.com/openai/CLIP, data/prompts.md).
TEMPLATES: dict[str, tuple[str, ...]] = {
    "p1": ("a multimodal fusion patch of a {}.",),
    "p2": ("a patch of a {}.",),
    "p3": ("a fine grained patch of a {}.",),
    "photo": ("a photo of a {}.",),
    "satellite": ("a centered satellite photo of {}.",),
    "eurosat": tuple(f"a centered satellite photo of {form}." for form in ("{}", "a {}", "the {}")),
    "resisc45": tuple(
        f"{kind} {image} of {form}."
        for kind in ("satellite", "aerial")
        for image in ("imagery", "photo", "view")
        for form in ("{}", "a {}", "the {}")
    ),
}


def class_prompts(
    prompt_set: PromptSet, class_names: Sequence[str], class_descriptions: Sequence[str] = ()
) -> list[str]:
    """Return the sentences of a set: one per class, or where it is an ensemble of T templates T * K.

    Args:
        prompt_set: "descriptions" takes the scene card's texts; any other puts the name into fixed sentences.
        class_names: K names.
        class_descriptions: K texts, or empty when the card has none.

    Returns:
        All classes in the first template's words, then all in the second's, and so on.

    Raises:
        UserError: an unknown set, or descriptions are asked for and the card has none.
    """
    if prompt_set == "descriptions":
        if not class_descriptions:
            raise UserError("prompts: found no class descriptions in the scene's card, expected one per class")
        return list(class_descriptions)
    if prompt_set not in TEMPLATES:
        raise UserError(f"prompts: found {prompt_set!r}, expected one of {', '.join(get_args(PromptSet))}")
    return [template.format(name) for template in TEMPLATES[prompt_set] for name in class_names]


def all_prompts(
    prompts: Sequence[PromptSet], class_names: Sequence[str], class_descriptions: Sequence[str] = ()
) -> list[str]:
    """Return the P * K sentences of sets with P templates in all: all classes in the first template's words, then on.

    P is what comes out divided by K.
    """
    return [text for chosen in prompts for text in class_prompts(chosen, class_names, class_descriptions)]

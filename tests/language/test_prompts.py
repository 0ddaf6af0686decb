"""Every class gets its sentence, in the order of the classes."""

from __future__ import annotations

from typing import get_args

import pytest

from diffclip.errors import UserError
from diffclip.language.prompts import TEMPLATES, PromptSet, all_prompts, class_prompts

NAMES = ("water", "parking lot 1")


@pytest.mark.parametrize(
    ("prompt_set", "expected"),
    [
        ("p1", ["a multimodal fusion patch of a water.", "a multimodal fusion patch of a parking lot 1."]),
        ("p2", ["a patch of a water.", "a patch of a parking lot 1."]),
        ("p3", ["a fine grained patch of a water.", "a fine grained patch of a parking lot 1."]),
    ],
)
def test_sentences_are_the_authors(prompt_set, expected):
    assert class_prompts(prompt_set, NAMES) == expected


def test_descriptions_are_the_cards_own():
    assert class_prompts("descriptions", NAMES, ("dark {and} wet", "flat")) == ["dark {and} wet", "flat"]


def test_descriptions_that_the_card_lacks_are_refused():
    with pytest.raises(UserError, match="found no class descriptions in the scene's card, expected one per class"):
        class_prompts("descriptions", NAMES)


def test_an_unknown_set_is_refused_with_those_that_exist():
    with pytest.raises(UserError, match="prompts: found 'p9', expected one of p1, p2, p3, descriptions"):
        class_prompts("p9", NAMES)  # type: ignore[arg-type]


def test_several_sets_follow_one_another():
    assert all_prompts(["p2", "descriptions"], NAMES, ("wet", "flat")) == [
        "a patch of a water.",
        "a patch of a parking lot 1.",
        "wet",
        "flat",
    ]


def test_an_ensemble_says_all_classes_in_one_template_before_the_next():
    found = all_prompts(["eurosat", "p2"], NAMES)
    assert found[:4] == [
        "a centered satellite photo of water.",
        "a centered satellite photo of parking lot 1.",
        "a centered satellite photo of a water.",
        "a centered satellite photo of a parking lot 1.",
    ]
    assert len(found) == (3 + 1) * len(NAMES)
    assert found[-2:] == class_prompts("p2", NAMES)


def test_every_set_has_different_sentences_each_with_a_place_for_the_name():
    assert len(TEMPLATES["resisc45"]) == 18
    for templates in TEMPLATES.values():
        assert len(set(templates)) == len(templates)
        assert all(template.count("{}") == 1 for template in templates)
    assert {*TEMPLATES, "descriptions"} == set(get_args(PromptSet))

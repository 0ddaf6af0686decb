"""Tokens are CLIP's, renumbered and cut without losing any."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from diffclip.language.tokenizer import CONTEXT, token_counts, tokenize, warn_of_cuts
from diffclip.scene.card import card_names
from diffclip.scene.load import names_and_descriptions

TEXTS = ["a patch of a tree.", "A multimodal fusion patch of a Park lot 1.", "water", "über-grünes Dach, 3.5 m"]
START, END = 49406, 49407


def test_tokens_are_those_of_open_clips_full_tokenizer():
    import open_clip

    expected = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    tokens = tokenize(TEXTS)
    length = tokens.ids.shape[1]
    assert torch.equal(tokens.vocabulary[tokens.ids], expected[:, :length])
    assert not expected[:, length:].any()


def test_ids_are_rows_of_a_vocabulary_without_gaps():
    tokens = tokenize(TEXTS)
    assert tokens.vocabulary.tolist() == sorted(set(tokens.vocabulary.tolist()))
    assert tokens.ids.unique().tolist() == list(range(len(tokens.vocabulary)))


def test_texts_are_cut_right_after_the_longest_one_ends():
    tokens = tokenize(TEXTS)
    full = tokens.vocabulary[tokens.ids]
    ends = (full == END).nonzero()
    assert ends[:, 0].tolist() == [0, 1, 2, 3]
    assert ends[:, 1].max() == full.shape[1] - 1
    assert (full[:, 0] == START).all()


def test_the_end_of_a_text_has_its_rows_highest_id():
    tokens = tokenize(TEXTS)
    assert (tokens.vocabulary[tokens.ids.max(-1).values] == END).all()


def test_texts_longer_than_the_context_keep_their_end():
    tokens = tokenize(["tree " * 100, "tree"])
    full = tokens.vocabulary[tokens.ids]
    assert full.shape == (2, CONTEXT)
    assert full[0, -1] == END
    assert full[1, :3].tolist() == [START, full[0, 1], END]


def test_other_texts_beside_it_do_not_change_a_texts_tokens():
    alone, among = tokenize(TEXTS[:1]), tokenize(TEXTS)
    length = alone.ids.shape[1]
    assert torch.equal(alone.vocabulary[alone.ids][0], among.vocabulary[among.ids][0, :length])


def test_tokenizing_does_not_import_the_heavy_rest_of_open_clip():
    code = (
        "import sys; from diffclip.language.tokenizer import tokenize; tokenize(['a']);"
        "print(*{'open_clip', 'torchvision', 'timm'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_texts_that_are_cut_are_warned_of_by_class(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_cuts(["tree", "roof"], ["a", "b", "c", "tree " * 80])
    assert [record.getMessage()[:50] for record in caplog.records] == [
        "class 'roof': 5 of 82 tokens of its text are cut: "
    ]


@pytest.mark.parametrize("card", card_names())
def test_every_class_of_every_card_has_a_description_that_fits(card):
    names, descriptions = names_and_descriptions(card)
    assert len(names) == len(descriptions)
    assert max(token_counts(descriptions)) <= CONTEXT

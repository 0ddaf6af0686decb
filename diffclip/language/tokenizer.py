"""CLIP's byte-pair tokens of class texts, cut to what is needed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

log = logging.getLogger(__name__)

CONTEXT = 77


class Tokens(NamedTuple):
    """Tokenised texts.

    Attributes:
        ids: (K, L) positions in `vocabulary`, cut after the longest text's end; the end of a text has its row's
            highest id.
        vocabulary: (V,) CLIP's ids of the tokens that occur, ascending.
    """

    ids: Int64[Tensor, "K L"]
    vocabulary: Int64[Tensor, " V"]


@cache
def _tokenizer() -> Any:
    # open_clip's tokenizer needs nothing of the rest of the package, whose import costs many times more.
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("open_clip_torch is not installed")
    spec = importlib.util.spec_from_file_location("_open_clip_tokenizer", Path(package.origin).parent / "tokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def tokenize(texts: Sequence[str]) -> Tokens:
    """Tokenise texts with CLIP's byte-pair encoding (open_clip's tokenizer; longer texts are cut at 77 tokens).

    Only the tokens that occur get a row in an embedding table: rows of others would never see a gradient.
    """
    full = _tokenizer()(list(texts), context_length=CONTEXT).long()
    # The end of text has CLIP's highest id; what stands after it cannot reach it in a causal tower.
    length = int(full.argmax(-1).max()) + 1
    vocabulary, ids = torch.unique(full[:, :length], return_inverse=True)
    return Tokens(ids, vocabulary)


def token_counts(texts: Sequence[str]) -> list[int]:
    """Return how many tokens every text takes, its start and end included, before anything is cut."""
    return [len(_tokenizer().encode(text)) + 2 for text in texts]


def warn_of_cuts(class_names: Sequence[str], texts: Sequence[str]) -> None:
    """Log a warning for every text that `CONTEXT` cuts.

    Args:
        class_names: K names.
        texts: P * K texts, all classes of one prompt set after the other.
    """
    for place, count in enumerate(token_counts(texts)):
        if count > CONTEXT:
            name, cut = class_names[place % len(class_names)], count - CONTEXT
            log.warning("class %r: %d of %d tokens of its text are cut: %r", name, cut, count, texts[place])

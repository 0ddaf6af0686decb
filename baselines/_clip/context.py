"""Learned context in a prompt: vectors in the place of words, before, behind or around a class name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from baselines._clip.method import Position
from diffclip.language.clip import Clip
from diffclip.language.prompted import cut, encode_embedded, text_tower


class ContextPrompts:
    """Prompts "context name." of K classes whose M context vectors are learned (CoOp, Zhou et al. 2022).

    Args:
        clip: the frozen CLIP.
        class_names: K names.
        length: M, number of context vectors.
        position: where the class name stands: at the end, in the middle, or in front of the context.
    """

    def __init__(self, clip: Clip, class_names: Sequence[str], length: int, position: Position = "end") -> None:
        self._model = clip.model
        placeholders = " ".join(["X"] * length)
        texts = [f"{placeholders} {name}.".strip() for name in class_names]
        self.ids: Int64[Tensor, "K L"] = cut(clip.tokens(texts)).to(clip.device)
        with torch.no_grad():
            self._frozen = text_tower(self._model).token_embedding(self.ids)  # (K, L, W)
        # A name's tokens are what stands between the start and the end of text when it is alone.
        names = [int(ids.argmax()) - 1 for ids in clip.tokens(list(class_names))]
        rows = [_order(self.ids.shape[1], length, name, position) for name in names]
        self._order = torch.tensor(rows, device=clip.device)  # (K, L)

    @property
    def width(self) -> int:
        """W, length of a token's embedding."""
        return self._frozen.shape[2]

    def embedded(self, context: Float[Tensor, "*context W"]) -> Float[Tensor, "K L W"]:
        """Return the token embeddings of all prompts with a context (M, W), or one per class (K, M, W)."""
        context = context.expand(len(self.ids), *context.shape[-2:])
        tokens = torch.cat([self._frozen, context], dim=1)
        return tokens.gather(1, self._order[:, :, None].expand(-1, -1, tokens.shape[2]))

    def encode(self, context: Float[Tensor, "*context W"]) -> Float[Tensor, "K D"]:
        """Return the embeddings of all prompts, not normalised; see `embedded`."""
        return encode_embedded(self._model, self.embedded(context), self.ids)

    def encode_each(self, contexts: Float[Tensor, "n M W"]) -> Float[Tensor, "n K D"]:
        """Return the embeddings of all prompts with each of n contexts, not normalised."""
        tokens = torch.cat([self.embedded(context) for context in contexts])
        return encode_embedded(self._model, tokens, self.ids.repeat(len(contexts), 1)).unflatten(0, (len(contexts), -1))


def _order(length: int, context: int, name: int, position: Position) -> list[int]:
    """Return for every place of a prompt which token it takes: 0..length-1 frozen ones, then the context.

    The frozen ones are: start, `context` placeholders, `name` tokens, the full stop, the end of text, padding.
    """
    before = {"end": context, "middle": context // 2, "front": 0}[position]
    learned = list(range(length, length + context))
    names = list(range(1 + context, 1 + context + name))
    rest = list(range(1 + context + name, length))
    return [0, *learned[:before], *names, *learned[before:], *rest]


def word_context(clip: Clip, words: str) -> Float[Tensor, "M W"]:
    """Return the token embeddings of words, to start a context from."""
    ids = clip.tokens([words])[0]
    with torch.no_grad():
        return text_tower(clip.model).token_embedding(ids[1 : int(ids.argmax())].to(clip.device)).clone()

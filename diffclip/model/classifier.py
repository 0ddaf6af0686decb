"""Stage 2: what the encoder makes of a window, or of a pixel in it, meets the class texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from diffclip.layers import Scale, take, xavier
from diffclip.model.encoder import Architecture, Encoder
from diffclip.model.masking import Kept

# CLIP never scales cosines by more than this.
MAX_SCALE = 100.0

Readout = Literal["class", "pixel", "both"]


class DiffCLIP(nn.Module):
    """Few-shot language-driven classifier: windows and class texts in one embedding space.

    Args:
        channels: channels of every modality, in order.
        shape: sizes of the encoder.
        text_tower: module that turns class texts into (K, E) embeddings.
        embedding: E, width of the joint space.
        temperature: initial temperature of the cosines; None: plain dot products, as of a linear classifier.
        max_scale: the scale of cosines never exceeds it.
        readout: which of the encoder's tokens an embedding is made of: each modality's class token (as in the paper),
            the token of the classified pixel, or both.
        skip: per modality, how many of its last channels at the classified pixel are added to the embedding by a
            linear map of their own; empty for none.
    """

    def __init__(
        self,
        channels: Sequence[int],
        shape: Architecture,
        text_tower: nn.Module,
        embedding: int,
        temperature: float | None,
        max_scale: float = MAX_SCALE,
        readout: Readout = "class",
        skip: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, shape, learned_positions=True)
        self.head = nn.Linear(len(channels) * shape.width * (2 if readout == "both" else 1), embedding)
        xavier(self.head)
        self.text_tower = text_tower
        self.scale = None if temperature is None else Scale(1.0 / temperature)
        self.max_scale = max_scale
        self.readout = readout
        self.window, self.token_size = shape.window, shape.token_size
        self.skipped = tuple(skip)
        self.skip = nn.Linear(sum(skip), embedding, bias=False) if sum(skip) else None
        if self.skip is not None:
            xavier(self.skip)

    def images(
        self,
        windows: Sequence[Float[Tensor, "*batch P _C"]],
        time: Int64[Tensor, "*batch"],
        kept: Sequence[Kept] | None = None,
        embedded: Sequence[Float[Tensor, "*batch P F"]] | None = None,
    ) -> Float[Tensor, "*batch E"]:
        """Return the embeddings of windows, or of their centre pixels where those are read out; not normalised.

        Args:
            windows: per modality, (..., window ** 2, channels) scaled pixels, row by row.
            time: (...) diffusion step of each window.
            kept: as for `pixels`.
            embedded: as for `pixels`.
        """
        centres = torch.full_like(time, self.window**2 // 2)
        return self.pixels(windows, time, centres[..., None], kept, embedded)[..., 0, :]

    def pixels(
        self,
        windows: Sequence[Float[Tensor, "*batch P _C"]],
        time: Int64[Tensor, "*batch"],
        places: Int64[Tensor, "*batch n"],
        kept: Sequence[Kept] | None = None,
        embedded: Sequence[Float[Tensor, "*batch P F"]] | None = None,
    ) -> Float[Tensor, "*batch n E"]:
        """Return the embeddings of pixels of windows, not normalised.

        Args:
            windows: per modality, (..., window ** 2, channels) scaled pixels, row by row.
            time: (...) diffusion step of each window.
            places: (..., n) which pixels, as positions in the window.
            kept: per modality, which tokens are visible, the token of the one pixel asked for first (see `showing`);
                None shows all.
            embedded: per modality, the pixels after `ModalityEmbedding.per_pixel`, where these are at hand.
        """
        spots = 1 + (self.tokens_of(places) if kept is None else torch.zeros_like(places))
        read, spots = self._asked(spots)
        seen = windows if embedded is None else embedded
        encoded = self.encoder(seen, time, kept, read=read, embedded=embedded is not None)
        parts = [part for tokens in encoded for part in self._read(tokens, spots)]
        read_out = self.head(torch.cat(parts, -1))
        if self.skip is None:
            return read_out
        own = [take(x[..., x.shape[-1] - n :], places) for x, n in zip(windows, self.skipped, strict=True)]
        return read_out + self.skip(torch.cat(own, -1))

    def tokens_of(self, places: Int64[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """Return the positions of the tokens that hold the pixels at `places` of a window."""
        row, column = places // self.window // self.token_size, places % self.window // self.token_size
        return row * (self.window // self.token_size) + column

    def _asked(self, spots: Int64[Tensor, "*batch n"]) -> tuple[Tensor | None, Int64[Tensor, "*batch n"]]:
        """Return which tokens the encoder is asked for (None: all), and where those at `spots` are among them."""
        first = torch.zeros_like(spots[..., :1])
        if self.readout == "class":
            return first, spots
        if spots.shape[-1] > 1:
            return None, spots
        return (spots, first) if self.readout == "pixel" else (torch.cat([first, spots], -1), first + 1)

    def _read(
        self, tokens: Float[Tensor, "*batch tokens D"], spots: Int64[Tensor, "*batch n"]
    ) -> list[Float[Tensor, "*batch n D"]]:
        """Return what one modality's tokens, the class token first, give for the tokens at `spots`."""
        found = []
        if self.readout != "class":
            found.append(take(tokens, spots))
        if self.readout != "pixel":
            found.append(tokens[..., :1, :].expand(*spots.shape, tokens.shape[-1]))
        return found

    def texts(self, inputs: Tensor) -> Float[Tensor, "*seeds K E"]:
        """Return the embeddings of class texts, not normalised; the text tower says what it takes."""
        return self.text_tower(inputs)

    def logits(
        self, images: Float[Tensor, "*batch n E"], texts: Float[Tensor, "*batch K E"]
    ) -> Float[Tensor, "*batch n K"]:
        """Return scaled cosines between every window and every class text, or without a temperature dot products."""
        if self.scale is None:
            return images @ texts.mT
        cosines = normalize(images, dim=-1) @ normalize(texts, dim=-1).mT
        return self.scale().clamp(max=self.max_scale)[..., None, None] * cosines


def contrastive_loss(
    logits: Float[Tensor, "*batch n K"], targets: Int64[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the symmetric image-text cross-entropy with all samples of a class as positives of its text.

    Image to text is an ordinary classification. Text to image asks each text that occurs in the batch to find its
    images: the target is uniform over the samples of its class, so that two samples of one class are never negatives
    of each other.

    Args:
        logits: scaled cosines between n windows and K class texts.
        targets: class of each window, 0..K-1.
    """
    image_to_text = cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    positives = one_hot(targets, logits.shape[-1]).to(logits.dtype)
    counts = positives.sum(-2)
    log_share = logits.log_softmax(-2)
    text_to_image = -(positives * log_share).sum(-2) / counts.clamp(min=1)
    present = (counts > 0).to(logits.dtype)
    texts = (text_to_image * present).sum(-1) / present.sum(-1)
    return 0.5 * (image_to_text.view(targets.shape).mean(-1) + texts)


def instance_loss(logits: Float[Tensor, "*batch n K"], targets: Int64[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Return the symmetric image-text cross-entropy of the released code: every window has a text of its own.

    Window i meets the class texts of all n windows and must find the i-th; those of its own class are negatives too.
    Both directions are summed, not averaged.

    Args:
        logits: scaled cosines between n windows and K class texts.
        targets: class of each window, 0..K-1.
    """
    pairs = logits.gather(-1, targets[..., None, :].expand(*targets.shape, targets.shape[-1]))
    both = pairs.log_softmax(-1) + pairs.log_softmax(-2)
    return -both.diagonal(dim1=-2, dim2=-1).mean(-1)

"""Stage 2: the encoder's class tokens meet the class texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from diffclip.layers import Scale, xavier
from diffclip.model.encoder import Architecture, Encoder

# CLIP never scales cosines by more than this.
MAX_SCALE = 100.0


class DiffCLIP(nn.Module):
    """Few-shot language-driven classifier: windows and class texts in one embedding space.

    Args:
        channels: channels of every modality, in order.
        shape: sizes of the encoder.
        text_tower: module that turns class texts into (K, E) embeddings.
        embedding: E, width of the joint space.
        temperature: initial temperature of the cosines; None: plain dot products, as of a linear classifier.
        max_scale: the scale of cosines never exceeds it.
    """

    def __init__(
        self,
        channels: Sequence[int],
        shape: Architecture,
        text_tower: nn.Module,
        embedding: int,
        temperature: float | None,
        max_scale: float = MAX_SCALE,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, shape, learned_positions=True)
        self.head = nn.Linear(len(channels) * shape.width, embedding)
        xavier(self.head)
        self.text_tower = text_tower
        self.scale = None if temperature is None else Scale(1.0 / temperature)
        self.max_scale = max_scale

    def images(
        self, windows: Sequence[Float[Tensor, "*batch P _C"]], time: Int64[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch E"]:
        """Return the embeddings of windows, not normalised."""
        summaries = [tokens[..., 0, :] for tokens in self.encoder(windows, time)]
        return self.head(torch.cat(summaries, -1))

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

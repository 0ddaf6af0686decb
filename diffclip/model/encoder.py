"""The modality-shared encoder: one transformer with the same weights for every modality, or one for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.layers import Block, take, xavier
from diffclip.model.embedding import ModalityEmbedding
from diffclip.model.masking import Kept


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network; defaults are those of DiffCLIP's released configuration.

    Attributes:
        window: side of the window in pixels.
        token_size: side of a token in pixels.
        stem: width of the per-pixel stem.
        width, depth, heads: of the encoder.
        decoder_width, decoder_depth, decoder_heads: of each decoder.
        mlp_ratio: hidden width of the MLPs, as a multiple of the width.
        shared_encoder: False gives every modality a transformer of its own.
    """

    window: int = 11
    token_size: int = 1
    stem: int = 128
    width: int = 128
    depth: int = 4
    heads: int = 8
    decoder_width: int = 128
    decoder_depth: int = 3
    decoder_heads: int = 8
    mlp_ratio: float = 2.0
    shared_encoder: bool = True


class Transformer(nn.Module):
    """The encoder's blocks and final norm.

    Args:
        shape: sizes.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads, shape.mlp_ratio) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        xavier(self.blocks)


class Encoder(nn.Module):
    """Stems per modality, then one transformer for all.

    "Modality-shared" covers the blocks and the final norm; stems, class tokens and time embeddings belong to each
    modality (paper, section "Modality-shared encoder"). Where the architecture shares nothing, `blocks` and `norm`
    belong to the first modality and `others` holds those of the rest.

    Args:
        channels: channels of every modality, in order.
        shape: sizes.
        learned_positions: False keeps the sine-cosine positions fixed.
    """

    def __init__(self, channels: Sequence[int], shape: Architecture, *, learned_positions: bool = False) -> None:
        super().__init__()
        sizes = (shape.window, shape.token_size, shape.stem, shape.width)
        self.modalities = nn.ModuleList(
            ModalityEmbedding(count, *sizes, learned_positions=learned_positions) for count in channels
        )
        first = Transformer(shape)
        self.blocks, self.norm = first.blocks, first.norm
        self.others = nn.ModuleList([] if shape.shared_encoder else [Transformer(shape) for _ in channels[1:]])

    def forward(
        self,
        windows: Sequence[Float[Tensor, "*batch P _C"]],
        time: Int64[Tensor, "*batch"],
        kept: Sequence[Kept] | None = None,
        *,
        read: Int64[Tensor, "*batch q"] | None = None,
        embedded: bool = False,
    ) -> list[Float[Tensor, "*batch tokens D"]]:
        """Encode one batch of windows.

        Args:
            windows: per modality, (..., window ** 2, channels) scaled pixels, row by row.
            time: (...) diffusion step of each window.
            kept: per modality, which tokens are visible; None shows all.
            read: which tokens are asked for, as positions among the class token (0) and the visible ones; the last
                block then spares itself the others. None asks for all.
            embedded: the pixels have already been through `ModalityEmbedding.per_pixel`.

        Returns:
            Per modality, the class token followed by the visible tokens, or those of them that are asked for.
        """
        encoded = []
        embeddings = cast(Iterable[ModalityEmbedding], self.modalities)
        for position, (embed, pixels) in enumerate(zip(embeddings, windows, strict=True)):
            tokens = embed(pixels, embedded=embedded)
            if kept is not None:
                tokens = take(tokens, kept[position].seen)
            encoded.append(self.transform(torch.cat([embed.summary_token(time), tokens], -2), position, read))
        return encoded

    def transform(
        self, tokens: Float[Tensor, "*batch T D"], modality: int = 0, read: Int64[Tensor, "*batch q"] | None = None
    ) -> Float[Tensor, "*batch _q D"]:
        """Run the blocks and the final norm of a modality: the same for all, where the encoder is shared.

        Only the tokens at `read` come back; None: all.
        """
        own = cast(Transformer, self.others[modality - 1] if modality and len(self.others) else self)
        for place, block in enumerate(own.blocks, start=1):
            tokens = block(tokens, read=read if place == len(own.blocks) else None)
        return own.norm(tokens)

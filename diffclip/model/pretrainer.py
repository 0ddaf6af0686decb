"""Stage 1: masked diffusion. Encode the visible tokens of noised windows, decode all of them to the clean pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.layers import Block, Table, put, xavier
from diffclip.model.diffusion import NoiseSchedule
from diffclip.model.embedding import beside, grid_positions
from diffclip.model.encoder import Architecture, Encoder
from diffclip.model.masking import Kept
from diffclip.regions import region


class Decoder(nn.Module):
    """One modality's decoder: mask tokens fill the gaps, a small transformer predicts every pixel.

    Args:
        channels: channels of the modality.
        shape: sizes.
    """

    def __init__(self, channels: int, shape: Architecture) -> None:
        super().__init__()
        width = shape.decoder_width
        self.token_size = shape.token_size
        self.side = shape.window // shape.token_size
        self.embed = nn.Linear(shape.width, width)
        self.mask_token = Table(torch.zeros(1, width))
        self.positions = Table(grid_positions(self.side, width), learned=False)
        self.blocks = nn.ModuleList(
            Block(width, shape.decoder_heads, shape.mlp_ratio) for _ in range(shape.decoder_depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.projection = nn.Linear(width, width)
        self.pixels = nn.Linear(width, shape.token_size**2 * shape.stem)
        xavier(self)
        self.channels = nn.Linear(shape.stem, channels)

    def forward(self, encoded: Float[Tensor, "*batch tokens D"], kept: Kept) -> Float[Tensor, "*batch P C"]:
        """Return the clean pixels of the whole window, row by row."""
        embedded = self.embed(encoded)
        summary, visible = embedded[..., :1, :], embedded[..., 1:, :]
        gaps = beside(self.mask_token(), visible).to(visible.dtype).expand(*kept.hidden.shape, visible.shape[-1])
        tokens = torch.cat([summary, put(gaps, kept.index, visible)], -2)
        tokens = tokens + beside(self.positions(), tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self._seen_as_pixels(tokens[..., 1:, :])

    @region
    def _seen_as_pixels(self, tokens: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch P C"]:
        """Return the pixels that the last block's tokens stand for."""
        pixels = rearrange(
            self.pixels(self.projection(self.norm(tokens))),
            "... (row column) (i j c) -> ... (row i column j) c",
            row=self.side,
            i=self.token_size,
            j=self.token_size,
        )
        return self.channels(pixels)


class Losses(NamedTuple):
    """Mean squared errors per window: over hidden and over visible tokens, one entry per modality."""

    hidden: list[Float[Tensor, "*batch"]]
    visible: list[Float[Tensor, "*batch"]]


class MaskedDiffusion(nn.Module):
    """Encoder and one decoder per modality.

    Args:
        channels: channels of every modality, in order.
        shape: sizes.
        steps: of the noise schedule.
    """

    def __init__(self, channels: Sequence[int], shape: Architecture, steps: int = 1000) -> None:
        super().__init__()
        self.encoder = Encoder(channels, shape)
        self.decoders = nn.ModuleList(Decoder(count, shape) for count in channels)
        self.schedule = NoiseSchedule(steps)
        self.token_size = shape.token_size
        self.side = shape.window // shape.token_size

    def forward(
        self,
        windows: Sequence[Float[Tensor, "*batch P _C"]],
        time: Int64[Tensor, "*batch"],
        kept: Sequence[Kept],
    ) -> list[Float[Tensor, "*batch P _C"]]:
        """Predict the clean windows from windows at step `time`, of which only the kept tokens are seen."""
        encoded = self.encoder(windows, time, kept)
        return [decoder(tokens, seen) for decoder, tokens, seen in zip(self.decoders, encoded, kept, strict=True)]

    def losses(
        self,
        clean: Sequence[Float[Tensor, "*batch P _C"]],
        time: Int64[Tensor, "*batch"],
        noise: Sequence[Float[Tensor, "*batch P _C"]] | None,
        kept: Sequence[Kept],
    ) -> Losses:
        """Return the errors of one batch.

        Args:
            clean: per modality, scaled pixels.
            time: diffusion step of each window.
            noise: per modality, standard normal numbers; None adds no noise (a plain masked autoencoder).
            kept: per modality, which tokens are visible.
        """
        noised = clean if noise is None else [self.schedule(x, time, eps) for x, eps in zip(clean, noise, strict=True)]
        errors = [self._errors(predicted, x) for predicted, x in zip(self(noised, time, kept), clean, strict=True)]
        hidden = [_mean(error, seen.hidden) for error, seen in zip(errors, kept, strict=True)]
        visible = [_mean(error, ~seen.hidden) for error, seen in zip(errors, kept, strict=True)]
        return Losses(hidden, visible)

    @region
    def _errors(
        self, predicted: Float[Tensor, "*batch P C"], clean: Float[Tensor, "*batch P C"]
    ) -> Float[Tensor, "*batch T"]:
        """Return the mean squared error of every token."""
        tokens = rearrange(
            (predicted - clean) ** 2,
            "... (row i column j) c -> ... (row column) (i j c)",
            row=self.side,
            column=self.side,
            i=self.token_size,
            j=self.token_size,
        )
        return tokens.mean(-1)


def _mean(error: Float[Tensor, "*batch T"], where: Tensor) -> Float[Tensor, "*batch"]:
    """Return the mean over the tokens in `where`, 0 when there are none."""
    return (error * where).sum(-1) / where.sum(-1).clamp(min=1)

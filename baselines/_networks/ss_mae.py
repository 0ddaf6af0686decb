"""SS-MAE: a masked autoencoder of pixels and of bands, and the classifier on top of its encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.layers import Attention, Block, Table, xavier

LEAST_COMPONENTS = 13  # the spectral kernels leave one
_FILL = 127 / 255  # the grey that stands for a masked token
_EPS = 1e-5

Stream = Literal["pixels", "bands"]


class GatedBlock(nn.Module):
    """A pre-norm transformer block whose MLP multiplies its hidden layer by a second one without activation.

    Args:
        width: D.
        heads: number of heads.
        ratio: hidden width of the MLP, as a multiple of D.
    """

    def __init__(self, width: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=_EPS), nn.LayerNorm(width, eps=_EPS)
        self.attention = Attention(width, heads)
        self.hidden, self.gate = nn.Linear(width, ratio * width), nn.Linear(width, ratio * width)
        self.activation = nn.GELU()
        self.out = nn.Linear(ratio * width, width)

    def forward(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch T D"]:
        """Mix the T tokens, then transform each."""
        x = x + self.attention(self.norm1(x))
        y = self.norm2(x)
        return x + self.out(self.activation(self.hidden(y)) * self.gate(y))


class StreamEncoder(nn.Module):
    """One of the two streams: tokens are pixels with all their channels, or channels with all their pixels.

    Args:
        tokens: number of tokens.
        values: numbers in a token.
        width: D.
        depth: number of blocks.
        heads: of their attention.
    """

    def __init__(self, tokens: int, values: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(values, width)
        self.class_token = Table(torch.zeros(1, width))
        self.positions = Table(sine_positions(tokens + 1, width), learned=False)
        self.blocks = nn.Sequential(*(GatedBlock(width, heads) for _ in range(depth)))

    def forward(
        self, x: Float[Tensor, "*batch T values"], kept: Int64[Tensor, " kept"] | None = None
    ) -> Float[Tensor, "*batch _ D"]:
        """Return the class token and the tokens (those of `kept` alone) after the blocks."""
        tokens = self.embed(x)
        first = self.class_token().unsqueeze(-3).expand(*tokens.shape[:-2], 1, tokens.shape[-1])
        found = torch.cat([first, tokens], dim=-2) + self.positions().unsqueeze(-3)
        if kept is not None:
            found = torch.cat([found[..., :1, :], found[..., kept + 1, :]], dim=-2)
        return self.blocks(found)


class Encoder(nn.Module):
    """Both streams, under one last norm.

    Args:
        channels: of cube and rasters together.
        window: odd side w of the window.
        width, depth, heads: of both streams.
    """

    def __init__(self, channels: int, window: int, width: int = 256, depth: int = 2, heads: int = 8) -> None:
        super().__init__()
        pixels = window * window
        self.streams = nn.ModuleDict(
            {
                "pixels": StreamEncoder(pixels, channels, width, depth, heads),
                "bands": StreamEncoder(channels, pixels, width, depth, heads),
            }
        )
        self.norm = nn.LayerNorm(width, eps=_EPS)

    def forward(
        self, x: Float[Tensor, "*batch C w w"], stream: Stream, kept: Int64[Tensor, " kept"] | None = None
    ) -> Float[Tensor, "*batch _ D"]:
        """Return the tokens of one stream, the class token first; with `kept` only those."""
        return self.norm(self.streams[stream](tokens_of(x, stream), kept))


class StreamDecoder(nn.Module):
    """Rebuilds the tokens of one stream: masked ones start as an embedded grey.

    Args:
        tokens, values: as for `StreamEncoder`.
        width, depth, heads: of encoder and decoder.
    """

    def __init__(self, tokens: int, values: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.values = tokens, values
        self.project = nn.Linear(width, width)
        self.fill = nn.Linear(values, width)
        self.positions = Table(sine_positions(tokens + 1, width), learned=False)
        self.blocks = nn.Sequential(*(Block(width, heads, 4.0, eps=_EPS) for _ in range(depth)))
        self.out = nn.Sequential(
            nn.Linear(width, values), nn.LayerNorm(values, eps=1e-12), nn.Linear(values, values)
        )  # fmt: skip

    def forward(
        self, seen: Float[Tensor, "*batch seen D"], kept: Int64[Tensor, " kept"]
    ) -> Float[Tensor, "*batch T values"]:
        """Return all tokens but the class token from the `kept` ones, which come after the class token in `seen`."""
        places = torch.cat([kept.new_zeros(1), kept + 1])
        grey = self.fill(seen.new_full((*seen.shape[:-2], 1, self.values), _FILL))
        filled = grey.expand(*seen.shape[:-2], self.tokens + 1, seen.shape[-1]).clone()
        filled[..., places, :] = self.project(seen)
        return self.out(self.blocks(filled + self.positions().unsqueeze(-3)))[..., 1:, :]


class MaskedAutoencoder(nn.Module):
    """Encoder and decoders of pretraining.

    Args:
        channels: of cube and rasters together.
        window: odd side w of the window.
        width, depth, heads: of all transformers.
    """

    def __init__(self, channels: int, window: int, width: int = 256, depth: int = 2, heads: int = 8) -> None:
        super().__init__()
        pixels = window * window
        self.encoder = Encoder(channels, window, width, depth, heads)
        self.decoders = nn.ModuleDict(
            {
                "pixels": StreamDecoder(pixels, channels, width, depth, heads),
                "bands": StreamDecoder(channels, pixels, width, depth, heads),
            }
        )
        xavier(self)

    def error(
        self, x: Float[Tensor, "*batch C w w"], stream: Stream, order: Int64[Tensor, " T"], ratio: float
    ) -> Float[Tensor, ""]:
        """Return the squared error on masked tokens, as a mean over all tokens, masked or not.

        Args:
            x: windows.
            stream: which tokens are masked.
            order: a random order of them; the last ones are masked, the same in every window of the batch.
            ratio: share of masked tokens, rounded up.
        """
        kept, masked = kept_and_masked(order, ratio)
        rebuilt = self.decoders[stream](self.encoder(x, stream, kept), kept)
        wanted = tokens_of(x, stream)
        return ((rebuilt - wanted)[..., masked, :] ** 2).sum() / wanted.numel()


def kept_and_masked(
    order: Int64[Tensor, " T"], ratio: float
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " masked"]]:
    """Split a random order of tokens: `int((1 - ratio) * T)` of them, in ascending order, are kept."""
    count = max(1, int((1 - ratio) * len(order)))
    return order[:count].sort().values, order[count:]


def tokens_of(x: Float[Tensor, "*batch C w w"], stream: Stream) -> Float[Tensor, "*batch T values"]:
    """Return a window's pixels, each with its channels, or its channels, each with its pixels."""
    return x.flatten(-2).mT if stream == "pixels" else x.flatten(-2)


def sine_positions(rows: int, width: int) -> Float[Tensor, "rows D"]:
    """Return sines (even columns) and cosines (odd) of positions at wavelengths from 2 pi to 10000 * 2 pi."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(rows)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class Classifier(nn.Module):
    """The pretrained encoder beside a convolutional network; each gives one number per token, a linear layer the rest.

    Args:
        bands: B of the cube.
        channels: C of the auxiliary rasters.
        components: P principal components of the cube, at least `LEAST_COMPONENTS`.
        classes: K.
        window: odd side w of the window.
        width, depth, heads: of the encoder.
    """

    def __init__(
        self,
        bands: int,
        channels: int,
        components: int,
        classes: int,
        window: int = 7,
        width: int = 256,
        depth: int = 2,
        heads: int = 8,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(bands + channels, window, width, depth, heads)
        xavier(self.encoder)
        self.hsi = SpectralSpatial(components)
        self.aux = nn.Sequential(*(_stage(a, 64, 3, nn.ReLU()) for a in (channels, 64, 64)))
        features = window * window + bands + channels + 2
        self.project = nn.Conv2d(128 + 64, features, 1)
        self.head = nn.Linear(features, classes)

    def forward(
        self,
        hsi: Float[Tensor, "*batch B w w"],
        aux: Float[Tensor, "*batch C w w"],
        components: Float[Tensor, "*batch P w w"],
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits."""
        both = torch.cat([hsi, aux], dim=-3)
        streams: Sequence[Stream] = ("pixels", "bands")
        of_tokens = torch.cat([self.encoder(both, stream).mean(dim=-1) for stream in streams], dim=-1)
        of_maps = self.project(torch.cat([self.hsi(components), self.aux(aux)], dim=-3)).mean(dim=(-2, -1))
        return self.head(3 * of_tokens + of_maps)


class SpectralSpatial(nn.Module):
    """Three times: a convolution over components and space, then channels doubled and halved again; 128 channels out.

    Args:
        components: P, at least `LEAST_COMPONENTS`.
    """

    def __init__(self, components: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inputs, volumes, length = components, 1, components
        for kernel in (9, 7, 5):
            stages.append(_stage(inputs, volumes * length, 1, nn.GELU()))
            stages.append(nn.Unflatten(-3, (volumes, length)))
            filters = 4 if volumes == 1 else 2 * volumes
            stages += [nn.Conv3d(volumes, filters, (kernel, 3, 3), padding=1), nn.GELU(), nn.BatchNorm3d(filters)]
            volumes, length = filters, length + 3 - kernel
            inputs = 2 * volumes * length
            stages += [nn.Flatten(-4, -3), nn.Conv2d(volumes * length, inputs, 1), nn.BatchNorm2d(inputs)]
        self.stages = nn.Sequential(*stages, _stage(inputs, 128, 1, nn.ReLU()))

    def forward(self, components: Float[Tensor, "*batch P w w"]) -> Float[Tensor, "*batch 128 w w"]:
        """Return the feature map."""
        return self.stages(components)


def _stage(inputs: int, filters: int, kernel: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, filters, kernel, padding=kernel // 2), activation, nn.BatchNorm2d(filters))

"""From a modality's window to tokens, and the class token that carries the time step."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from diffclip.layers import BatchNorm, Table, xavier
from diffclip.regions import region


def sinusoid(positions: Float[Tensor, "*axes"], width: int) -> Float[Tensor, "*axes width"]:
    """Return (sine, cosine) features of positions at wavelengths from 2 pi to 10000 * 2 pi; `width` is even."""
    rates = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64, device=positions.device) / (width / 2))
    angles = positions[..., None].double() * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


def grid_positions(side: int, width: int) -> Float[Tensor, "rows D"]:
    """Return 2-D sine-cosine positions of a side x side grid, row by row, after a row of zeros for the class token.

    Half of `width` belongs to each axis; the column comes first, as in masked autoencoders (He et al. 2022) and in
    DiffCLIP's released code.
    """
    if width % 4:
        raise ValueError(f"width: found {width}, expected a multiple of 4 for 2-D positions")
    row, column = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    features = [sinusoid(axis.flatten(), width // 2) for axis in (column, row)]
    return torch.cat([torch.zeros(1, width), torch.cat(features, -1).float()])


class TimeEmbedding(nn.Module):
    """Sinusoids of the time step (cosines first) through a small MLP (Peebles and Xie 2023)."""

    def __init__(self, width: int, frequencies: int = 256) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))
        xavier(self.mlp)

    def forward(self, time: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """Embed diffusion steps."""
        rates = torch.exp(
            -math.log(10000.0) * torch.arange(self.frequencies // 2, device=time.device) / (self.frequencies // 2)
        )
        angles = time[..., None].float() * rates
        features = torch.cat([angles.cos(), angles.sin()], -1)
        return self.mlp(features.to(next(self.mlp.parameters()).dtype))


class ModalityEmbedding(nn.Module):
    """One modality's stem, tokens, class token and time embedding; never shared between modalities.

    The stem looks at single pixels: linear, batch norm, ReLU, twice. A token is then a linear map of its
    token_size x token_size pixels.

    Args:
        channels: bands of the modality.
        window: side of the window in pixels, divisible by `token_size`.
        token_size: side of a token in pixels.
        stem: width of the per-pixel stem.
        width: D, width of the tokens.
        learned_positions: False keeps the sine-cosine positions fixed.
    """

    def __init__(
        self, channels: int, window: int, token_size: int, stem: int, width: int, *, learned_positions: bool = False
    ) -> None:
        super().__init__()
        if window % token_size:
            raise ValueError(f"token_size: found {token_size}, expected a divisor of the window {window}")
        self.side = window // token_size
        self.token_size = token_size
        self.stem = nn.Sequential(
            nn.Linear(channels, stem), BatchNorm(stem), nn.ReLU(), nn.Linear(stem, stem), BatchNorm(stem), nn.ReLU()
        )
        self.tokens = nn.Linear(token_size**2 * stem, width)
        xavier(self.tokens)
        self.class_token = Table(torch.empty(1, width).normal_(std=0.02))
        self.time = TimeEmbedding(width)
        self.positions = Table(grid_positions(self.side, width), learned=learned_positions)

    def per_pixel(self, pixels: Float[Tensor, "*batch P C"]) -> Float[Tensor, "*batch P F"]:
        """Return the part of the embedding that looks at single pixels: tokens of one pixel, or else the stem.

        In evaluation mode the same pixel gives the same numbers in every window, so it may be embedded once for all.
        """
        stem = self.stem(pixels)
        return self.tokens(stem) if self.token_size == 1 else stem

    @region
    def forward(self, pixels: Float[Tensor, "*batch P _C"], *, embedded: bool = False) -> Float[Tensor, "*batch T D"]:
        """Return the tokens of windows with their positions.

        Args:
            pixels: (..., window ** 2, C), row by row.
            embedded: they have been through `per_pixel`.
        """
        tokens = pixels if embedded else self.per_pixel(pixels)
        if self.token_size > 1:
            squares = rearrange(
                tokens,
                "... (row i column j) c -> ... (row column) (i j c)",
                row=self.side,
                column=self.side,
                i=self.token_size,
                j=self.token_size,
            )
            tokens = self.tokens(squares)
        return tokens + beside(self.positions()[..., 1:, :], tokens)

    def summary_token(self, time: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch 1 D"]:
        """Return the class token with the time step added."""
        time_token = self.time(time)[..., None, :]
        return time_token + beside(self.class_token() + self.positions()[..., :1, :], time_token)


def beside(table: Float[Tensor, "*seeds rows D"], batch: Tensor) -> Tensor:
    """Give a table the missing axes between its seeds and its rows, so that it can be added to a batch."""
    missing = batch.ndim - table.ndim
    return table[(..., *(None,) * missing, slice(None), slice(None))]

"""MFT: a transformer whose class token comes from the other modality."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines._networks.layers import Dropout
from diffclip.layers import Table

LEAST_BANDS = 9  # the unpadded spectral kernel leaves one
_HEADS, _VOLUMES, _TOKENS = 8, 8, 4


class HeterogeneousConvolution(nn.Module):
    """The sum of a grouped 3 x 3 convolution and a full 1 x 1 one.

    Args:
        inputs: channels that come in.
        filters: channels that go out.
        groups: of the 3 x 3 convolution.
    """

    def __init__(self, inputs: int, filters: int, groups: int) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(inputs, filters, 3, padding=1, groups=groups)
        self.pointwise = nn.Conv2d(inputs, filters, 1)

    def forward(self, x: Float[Tensor, "*batch inputs w w"]) -> Float[Tensor, "*batch filters w w"]:
        """Return the sum."""
        return self.grouped(x) + self.pointwise(x)


class Tokenizer(nn.Module):
    """Pools the positions of a feature map into a few tokens, by learned attention.

    Args:
        width: D, channels of the map and of the tokens.
        tokens: number of tokens.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.attention = nn.Linear(width, tokens, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        for layer in (self.attention, self.value):
            # Published as tensors of three axes, of which the last counts as a kernel: the weights start small.
            nn.init.xavier_normal_(layer.weight[None])

    def forward(self, x: Float[Tensor, "*batch D w w"]) -> Float[Tensor, "*batch tokens D"]:
        """Return the tokens."""
        positions = x.flatten(-2).mT
        return self.attention(positions).mT.softmax(dim=-1) @ self.value(positions)


class CrossAttention(nn.Module):
    """The first token asks all of them; every head sees a slice of the tokens through weights that all heads share.

    Args:
        width: D, divisible by 8.
        dropout: after the projection.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        slice_ = width // _HEADS
        self.query, self.key, self.value = (nn.Linear(slice_, width, bias=False) for _ in range(3))
        self.out = nn.Sequential(nn.Linear(width * _HEADS, width), Dropout(dropout))
        self.scale = slice_**-0.5

    def forward(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch 1 D"]:
        """Return what the first token learns; it is added to every token."""
        slices = x.unflatten(-1, (_HEADS, -1)).transpose(-2, -3)  # (..., heads, T, D / heads)
        affinity = self.query(slices[..., :1, :]) @ self.key(slices).mT * self.scale
        return self.out((affinity.softmax(dim=-1) @ self.value(slices)).flatten(-3).unsqueeze(-2))


class CrossBlock(nn.Module):
    """A pre-norm transformer block with `CrossAttention`."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width, eps=1e-6), CrossAttention(width, dropout))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 8 * width), nn.GELU(), Dropout(dropout),
            nn.Linear(8 * width, width), Dropout(dropout),
        )  # fmt: skip
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch T D"]:
        """Return the tokens, each changed by what the first one learned and by itself."""
        x = x + self.attention(x)
        return x + self.mlp(x)


class MFT(nn.Module):
    """Convolutions per modality; one token of the rasters, which classifies, and four of the cube; two blocks.

    Args:
        bands: B of the cube, at least `LEAST_BANDS`.
        channels: C of the auxiliary rasters.
        classes: K.
        width: D of the tokens, divisible by 16.
        depth: number of blocks.
        dropout: of tokens, attention and MLPs.
    """

    def __init__(
        self, bands: int, channels: int, classes: int, width: int = 64, depth: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        folded = _VOLUMES * (bands - LEAST_BANDS + 1)
        groups = width // 4 if folded % (width // 4) == 0 else _VOLUMES
        self.spectral = nn.Sequential(
            nn.Conv3d(1, _VOLUMES, (LEAST_BANDS, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(_VOLUMES), nn.ReLU()
        )
        self.hsi = nn.Sequential(
            HeterogeneousConvolution(folded, width, groups), nn.BatchNorm2d(width), nn.ReLU(), Tokenizer(width, _TOKENS)
        )
        self.aux = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.GELU(), Tokenizer(width, 1)
        )
        self.positions = Table(torch.randn(1 + _TOKENS, width))
        self.blocks = nn.Sequential(
            Dropout(dropout), *(CrossBlock(width, dropout) for _ in range(depth)), nn.LayerNorm(width, eps=1e-6)
        )
        self.classifier = nn.Linear(width, classes)
        nn.init.xavier_uniform_(self.classifier.weight)
        nn.init.normal_(self.classifier.bias, std=1e-6)

    def tokens(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch 5 D"]:
        """Return the rasters' token, then the cube's, with their positions."""
        of_hsi = self.hsi(self.spectral(hsi.unsqueeze(-4)).flatten(-4, -3))
        return torch.cat([self.aux(aux), of_hsi], dim=-2) + self.positions().unsqueeze(-3)

    def forward(
        self, hsi: Float[Tensor, "*batch B w w"], aux: Float[Tensor, "*batch C w w"]
    ) -> Float[Tensor, "*batch K"]:
        """Return the logits of the rasters' token, which has learned from the cube's."""
        return self.classifier(self.blocks(self.tokens(hsi, aux))[..., 0, :])

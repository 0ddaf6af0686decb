"""The forward process of a denoising diffusion model (Ho et al. 2020) with a linear schedule."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    """Variance-preserving noise: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, a_t the running product of 1 - beta.

    DiffCLIP uses 1000 steps with beta from 1e-4 to 0.02; only this forward process is used, x_0 is predicted
    directly.
    """

    signal: Tensor
    noise: Tensor

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> None:
        super().__init__()
        kept = torch.cumprod(1.0 - torch.linspace(first, last, steps, dtype=torch.float64), 0)
        self.steps = steps
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1.0 - kept).sqrt().float(), persistent=False)

    def forward(
        self, clean: Float[Tensor, "*batch T C"], time: Int64[Tensor, "*batch"], noise: Float[Tensor, "*batch T C"]
    ) -> Float[Tensor, "*batch T C"]:
        """Return the windows at step `time` (0 .. steps - 1)."""
        return self.signal[time][..., None, None] * clean + self.noise[time][..., None, None] * noise

"""The noise schedule is DDPM's linear one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffclip.model.diffusion import NoiseSchedule


def test_every_step_keeps_the_variance():
    schedule = NoiseSchedule()
    torch.testing.assert_close(schedule.signal**2 + schedule.noise**2, torch.ones(1000))
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 4, 25, 200, generator=generator)
    noised = schedule(clean, torch.tensor([0, 100, 500, 999]), noise)
    torch.testing.assert_close(noised.var(dim=(1, 2)), torch.ones(4), rtol=0, atol=0.06)


def test_the_first_step_is_almost_clean_and_the_last_almost_noise():
    schedule = NoiseSchedule()
    assert schedule.signal[0].item() == pytest.approx(math.sqrt(1 - 1e-4), abs=1e-7)
    assert schedule.signal[-1].item() == pytest.approx(math.sqrt(np.prod(1 - np.linspace(1e-4, 0.02, 1000))), rel=1e-6)
    assert schedule.signal[-1] < 0.01
    assert schedule.noise[-1] > 0.9999
    assert (schedule.signal.diff() < 0).all()


def test_signal_is_the_running_product_by_brute_force():
    schedule = NoiseSchedule(steps=50, first=1e-3, last=0.2)
    product = 1.0
    for step in range(50):
        product *= 1 - (1e-3 + (0.2 - 1e-3) * step / 49)
        assert schedule.signal[step].item() == pytest.approx(math.sqrt(product), rel=1e-6)
        assert schedule.noise[step].item() == pytest.approx(math.sqrt(1 - product), rel=1e-6)


def test_each_window_is_noised_at_its_own_step():
    schedule = NoiseSchedule()
    clean, noise = torch.randn(2, 2, 3, 4, 5)
    time = torch.tensor([[0, 5, 999], [3, 3, 700]])
    noised = schedule(clean, time, noise)
    for place in np.ndindex(2, 3):
        t = time[place]
        torch.testing.assert_close(noised[place], schedule.signal[t] * clean[place] + schedule.noise[t] * noise[place])

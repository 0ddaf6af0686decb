"""What supervised networks share: windows of both modalities, batches, seeding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from baselines import _training
from diffclip.scene.windows import Windows


def test_both_windows_show_the_same_place_and_turn_together(tiny_scene):
    imagery = tiny_scene().imagery
    windows = _training.StackedWindows((imagery.hsi, imagery.aux), 5, "cpu")
    pixels = torch.tensor([0, 100, 575])
    flips = [(), (2,), (3,), (2, 3)]
    for turn, (transposed, axes) in enumerate([(t, a) for t in (False, True) for a in flips]):
        found = windows(pixels, torch.full((3,), turn))
        for array, window in zip((imagery.hsi, imagery.aux), found, strict=True):
            tokens = Windows(array, 5)(pixels)
            square = tokens.transpose(1, 2).reshape(3, array.shape[2], 5, 5)
            expected = (square.mT if transposed else square).flip(axes)
            torch.testing.assert_close(window, expected, rtol=0, atol=0)


@pytest.mark.parametrize("size", [2, 4, 8, 100])
def test_every_epoch_shows_every_sample_once_and_leaves_no_batch_of_one(size, tiny_scene, draw_task):
    task = draw_task(tiny_scene(), shots=3)
    windows = _training.StackedWindows([task.scene.hsi], 3, "cpu")
    batches = _training.labelled_batches(task, windows, size, "none")
    n = len(task.train_pixels)
    per_epoch = min(-(-n // size), n // 2)
    for _ in range(2):
        epoch = list(itertools.islice(batches, per_epoch))
        sizes = [len(targets) for _, targets in epoch]
        assert sum(sizes) == n
        assert 1 < min(sizes) <= max(sizes) <= max(size, 3)
        counts = np.bincount(torch.cat([targets for _, targets in epoch]).numpy())
        assert counts.tolist() == [3, 3, 3]


def test_seeded_blocks_repeat_and_leave_torchs_generator_alone(tiny_scene, draw_task):
    task = draw_task(tiny_scene())
    before = torch.get_rng_state()
    draws = []
    for name in ("network", "network", "other"):
        with _training.seeded(task, name):
            draws.append(torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_no_pixels_give_no_scores(tiny_scene, draw_task):
    task = draw_task(tiny_scene())
    windows = _training.StackedWindows(task.scene.scaled("standard"), 3, "cpu")

    class Centre(torch.nn.Module):
        def forward(self, hsi: torch.Tensor, aux: torch.Tensor) -> torch.Tensor:
            return hsi[:, :3, 1, 1]

    pixels = np.arange(5)
    expected = task.scene.spectra(pixels, aux=False)[:, :3]
    np.testing.assert_array_equal(_training.scores(Centre(), windows, pixels, task), expected)
    assert _training.scores(Centre(), windows, pixels[:0], task).shape == (0, 3)


def test_the_rate_follows_the_schedule_over_the_share_of_updates_that_is_done():
    weight = torch.nn.Parameter(torch.zeros(1))
    batches = itertools.repeat(((torch.ones(1),), torch.zeros(1)))
    descent = _training.optimizer_of("sgd", iter([weight]), 1.0, 0.0)
    _training.minimise(
        lambda inputs, targets: (weight * inputs[0]).sum(), batches, descent, 8, "test", lambda done: float(done < 0.25)
    )
    assert weight.item() == -2.0

"""Windows meet class texts as in CLIP, and samples of one class are no rivals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from diffclip.model.classifier import MAX_SCALE, DiffCLIP, contrastive_loss, instance_loss


@pytest.fixture
def model(small) -> DiffCLIP:
    return DiffCLIP([6, 2], small, nn.Embedding(3, 10), embedding=10, temperature=0.07).eval()


def test_the_loss_is_clips_when_every_class_occurs_once():
    logits = 5 * torch.randn(6, 6)
    order = torch.randperm(6)
    pairs = logits[:, order]
    expected = (cross_entropy(pairs, torch.arange(6)) + cross_entropy(pairs.T, torch.arange(6))) / 2
    torch.testing.assert_close(contrastive_loss(logits, order), expected)


def test_the_loss_by_brute_force():
    logits, targets = torch.randn(5, 4, dtype=torch.float64), [2, 0, 2, 2, 3]
    images = [math.log(sum(math.exp(v) for v in row)) - row[k] for row, k in zip(logits.tolist(), targets, strict=True)]
    texts = []
    for k in (0, 2, 3):
        column = logits[:, k].tolist()
        total = math.log(sum(math.exp(v) for v in column))
        own = [total - value for value, target in zip(column, targets, strict=True) if target == k]
        texts.append(sum(own) / len(own))
    found = contrastive_loss(logits, torch.tensor(targets)).item()
    assert found == pytest.approx((sum(images) / 5 + sum(texts) / 3) / 2)


def test_samples_of_one_class_are_not_negatives_of_each_other():
    targets = torch.tensor([0, 0, 0, 1, 1])
    certain = torch.where(nn.functional.one_hot(targets, 2).bool(), 50.0, -50.0)
    # The least that text to image can cost is the entropy of a uniform choice among the samples of the class.
    least = 0.5 * (math.log(3) + math.log(2)) / 2
    assert contrastive_loss(certain, targets).item() == pytest.approx(least, abs=1e-6)
    certain.requires_grad_()
    contrastive_loss(certain, targets).backward()
    assert certain.grad.abs().max() < 1e-6


def test_an_absent_class_costs_nothing_as_a_text():
    logits, targets = torch.randn(4, 3), torch.tensor([0, 2, 2, 0])
    shifted = logits.clone()
    shifted[:, 1] = -1e4
    assert contrastive_loss(shifted, targets).item() == pytest.approx(
        contrastive_loss(logits[:, [0, 2]], torch.tensor([0, 1, 1, 0])).item(), rel=1e-5
    )


def test_with_a_text_for_every_window_same_class_windows_are_negatives():
    logits, targets = 3 * torch.randn(5, 4), torch.tensor([2, 0, 2, 2, 3])
    pairs = torch.stack([logits[:, k] for k in targets], 1)
    expected = cross_entropy(pairs, torch.arange(5)) + cross_entropy(pairs.T, torch.arange(5))
    torch.testing.assert_close(instance_loss(logits, targets), expected)


def test_with_a_text_for_every_window_even_certainty_costs():
    targets = torch.arange(15).repeat_interleave(40)[torch.randperm(600)]
    certain = torch.where(nn.functional.one_hot(targets, 15).bool(), 50.0, -50.0)
    batches = targets.split(128)
    found = [instance_loss(rows, batch) for rows, batch in zip(certain.split(128), batches, strict=True)]
    # Each window is one of m of its class in the batch: log m nats in either direction.
    expected = [2 * torch.stack([(b == k).sum().log() for k in b]).mean() for b in batches]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    assert torch.stack(found).mean() > 3.5


@pytest.mark.parametrize("loss", [contrastive_loss, instance_loss])
def test_losses_of_seeds_do_not_mix(loss):
    logits, targets = torch.randn(3, 5, 4), torch.randint(4, (3, 5))
    expected = torch.stack([loss(logits[s], targets[s]) for s in range(3)])
    torch.testing.assert_close(loss(logits, targets), expected)


def test_logits_are_cosines_over_the_temperature(model):
    images, texts = torch.randn(4, 10), torch.randn(3, 10)
    expected = torch.cosine_similarity(images[:, None], texts[None], dim=-1) / 0.07
    torch.testing.assert_close(model.logits(images, texts), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.logits(3 * images, 0.1 * texts), expected, rtol=1e-5, atol=1e-5)


def test_the_scale_of_cosines_ends_at_100(model):
    nn.init.constant_(model.scale.weight, 20.0)
    images = torch.randn(4, 10)
    torch.testing.assert_close(model.logits(images, images).diagonal(), torch.full((4,), MAX_SCALE))
    assert MAX_SCALE == 100


def test_the_embedding_is_the_head_of_both_class_tokens(model):
    windows, time = [torch.randn(4, 25, 6), torch.randn(4, 25, 2)], torch.tensor([0, 1, 2, 3])
    hsi, lidar = model.encoder(windows, time)
    assert hsi.shape == lidar.shape == (4, 26, 16)
    expected = model.head(torch.cat([hsi[:, 0], lidar[:, 0]], -1))
    torch.testing.assert_close(model.images(windows, time), expected)


def test_positions_are_trained_in_stage_2(model):
    assert all(embed.positions.weight.requires_grad for embed in model.encoder.modalities)

"""Stage 2 learns a few labels from where stage 1 ended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from diffclip.errors import UserError
from diffclip.model.classifier import DiffCLIP
from diffclip.training.finetuning import finetune
from diffclip.training.windows import batches


def _state(model: DiffCLIP) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_separable_task_is_learned_to_the_last_training_label(make_method, draw_task, scene):
    method, task = make_method(pretrain="none", epochs=100, lr=1e-3), draw_task()
    method.train(task)
    assert (method.classify(task.train_pixels).argmax(1) == task.train_targets).all()
    everywhere = method.classify(np.arange(scene.imagery.n_pixels)).argmax(1) + 1
    assert (everywhere == scene.labels.ravel()).mean() > 0.8


def test_it_starts_from_stage_1s_encoder(make_method, draw_task, checkpoint):
    model, _, _ = finetune(draw_task(pretrained=checkpoint), make_method(epochs=0).options)
    stored = load_file(checkpoint)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, stored[f"encoder.{name}"]), name


def test_all_of_it_is_trained(make_method, draw_task, checkpoint):
    task = draw_task(pretrained=checkpoint)
    before, after = (_state(finetune(task, make_method(epochs=epochs).options)[0]) for epochs in (0, 2))
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_the_same_seed_repeats_exactly_and_another_differs(make_method, draw_task):
    options = make_method(pretrain="none").options
    first, again, other = (_state(finetune(draw_task(seed=seed), options)[0]) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_global_generators_stay_where_they_are(make_method, draw_task, global_draws):
    before = global_draws()
    finetune(draw_task(), make_method(pretrain="none").options)
    assert global_draws() == before


def test_a_missing_checkpoint_is_refused(make_method, draw_task):
    with pytest.raises(UserError, match=r"task\.pretrained: found none, expected stage 1's checkpoint"):
        finetune(draw_task(), make_method().options)


def test_in_domain_clip_needs_no_checkpoint_and_ignores_one(make_method, draw_task, checkpoint):
    method = make_method(**make_method().variants["in-domain-clip"])
    without, given = (_state(finetune(draw_task(pretrained=path), method.options)[0]) for path in (None, checkpoint))
    assert all(torch.equal(without[name], given[name]) for name in without)


@pytest.mark.parametrize(
    ("samples", "size", "expected"), [(9, 4, [4, 5]), (8, 4, [4, 4]), (7, 4, [4, 3]), (1, 4, [1]), (3, 1, [1, 2])]
)
def test_a_last_batch_of_one_joins_the_one_before_it(samples, size, expected):
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(0))
    found = batches(order, size)
    assert [len(batch) for batch in found] == expected
    assert torch.equal(torch.cat(found), order)


def test_every_epoch_shows_every_training_window_once_at_time_0(make_method, draw_task, monkeypatch):
    times, means = [], []
    pixels = DiffCLIP.pixels

    def noted(self, windows, time, places, kept):
        assert self.training
        times.append(time)
        means.append(windows[0].double().mean((-1, -2)))
        return pixels(self, windows, time, places, kept)

    monkeypatch.setattr(DiffCLIP, "pixels", noted)
    task = draw_task(shots=5)
    _, _, windows = finetune(task, make_method(pretrain="none", epochs=2, batch=7).options)
    assert [len(time) for time in times] == [7, 8, 7, 8]
    assert not torch.cat(times).any()
    expected = windows(torch.from_numpy(task.train_pixels))[0].double().mean((-1, -2)).sort().values
    for epoch in (means[:2], means[2:]):
        torch.testing.assert_close(torch.cat(epoch).sort().values, expected)
    assert not torch.equal(torch.cat(means[:2]), torch.cat(means[2:]))


def test_the_learning_rate_falls_tenfold_after_two_thirds_and_seven_eighths(make_method, draw_task, learning_rates):
    finetune(draw_task(), make_method(pretrain="none", epochs=24, batch=32, lr=1.0).options)
    assert learning_rates == pytest.approx([1.0] * 16 + [0.1] * 5 + [0.01] * 3)


def test_the_temperature_starts_where_it_is_set(make_method, draw_task):
    model, _, _ = finetune(draw_task(), make_method(pretrain="none", epochs=0, temperature=0.5).options)
    assert model.scale().item() == pytest.approx(2.0)


def test_the_texts_are_those_of_the_trained_tower_in_evaluation_mode(make_method, draw_task):
    model, texts, _ = finetune(draw_task(), make_method(pretrain="none").options)
    assert not model.training
    assert texts.shape == (3, 16)
    assert not texts.requires_grad
    assert len(texts.unique(dim=0)) == 3

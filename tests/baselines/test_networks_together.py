"""Networks of several seeds run as one: what each says alone, it says in company."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

import baselines._networks
from baselines._networks.layers import draw_from
from baselines._supervised import SupervisedNetwork
from diffclip.protocol.catalogue import find_method, make_method, method_names
from diffclip.seeds import together
from tests.baselines.fast import FAST

NETWORKS = [name for name in method_names() if issubclass(find_method(name), SupervisedNetwork)]
STACKS = {"hybridsn": (16,), "endnet": (16, 5), "ss_mae": (16, 2, 13)}
SEEDS = (0, 1, 2)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + seed) for seed in SEEDS]


@pytest.mark.parametrize("name", NETWORKS)
def test_seeds_give_the_same_losses_and_gradients_together_as_alone(name):
    method = make_method(name, options=FAST[name])
    assert isinstance(method, SupervisedNetwork)
    window = max(method.least_window, 5) if method.options.window is None else method.options.window
    stacks = STACKS.get(name, (16, 2) if method.uses_aux else (16,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = [method.network(stacks, 3, window).double().train() for _ in SEEDS]
        inputs = [tuple(torch.rand(4, c, window, window).double() for c in stacks) for _ in SEEDS]
    targets = torch.tensor([0, 1, 2, 0])
    joint = together(networks)
    draw_from(joint, *generators())
    stacked = tuple(torch.stack(parts) for parts in zip(*inputs, strict=True))
    loss = method.loss(joint, stacked, targets.expand(len(SEEDS), -1))
    (len(SEEDS) * loss).backward()
    alone = []
    for seed, (network, seen, generator) in enumerate(zip(networks, inputs, generators(), strict=True)):
        draw_from(network, generator)
        alone.append(method.loss(network, seen, targets))
        alone[-1].backward()
        found = dict(joint.named_parameters())
        for weight_name, weight in network.named_parameters():
            if weight.grad is not None:
                gradient = found[weight_name].grad
                assert gradient is not None
                torch.testing.assert_close(gradient[seed], weight.grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(loss, torch.stack(alone).mean())


def test_seeds_trained_together_classify_as_each_alone(tiny_scene, draw_task):
    options = {**FAST["coupled_cnn"], "least_steps": 10, "lr": 1e-4}
    tasks = [draw_task(tiny_scene(), seed=seed) for seed in SEEDS]
    methods = [make_method("coupled_cnn", options=options) for _ in tasks]
    assert methods[0].joins_seeds
    type(methods[0]).train_many(methods, tasks)
    for method, task in zip(methods, tasks, strict=True):
        alone = make_method("coupled_cnn", options=options)
        alone.train(dataclasses.replace(task))
        pixels = np.arange(50)
        np.testing.assert_allclose(method.classify(pixels), alone.classify(pixels), rtol=0.02, atol=0.02)


def test_the_documented_network_learns_and_joins_its_seeds(tiny_scene, draw_task, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "rivals.md").read_text()
    layers, method_file = (block.partition("```")[0] for block in page.split("```python\n")[1:])
    for package, text in ((baselines._networks, layers), (baselines, method_file)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "mean_of_filters.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    kind = importlib.import_module("baselines.mean_of_filters").MeanOfFiltersMethod
    tasks = [draw_task(tiny_scene(), shots=10, seed=seed, window=5) for seed in SEEDS]
    methods = [kind(kind.Options(least_steps=100, epochs=1)) for _ in tasks]
    kind.train_many(methods, tasks)
    for method, task in zip(methods, tasks, strict=True):
        assert (method.classify(task.train_pixels).argmax(axis=1) == task.train_targets).mean() > 0.9

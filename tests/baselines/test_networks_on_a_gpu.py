"""Networks on a GPU: every one trains there, several seeds as one, and gives the same scores again."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from diffclip.protocol.catalogue import find_method, make_method, method_names
from tests.baselines.fast import FAST

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
# DiffCLIP has tests of its own.
NETWORKS = [
    name
    for name in method_names()
    if name not in ("diffclip", "ss_mae")
    and find_method(name).uses_device
    and make_method(name, options=FAST.get(name, {})).joins_seeds
]
SEEDS = (0, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_on_a_gpu_and_again_alike(name, tiny_scene, draw_task, caplog):
    options: dict[str, Any] = FAST[name] | ({} if name == "two_branch_cnn" else {"least_steps": 8})
    tasks = [replace(draw_task(tiny_scene(), seed=seed, window=11), device="cuda") for seed in SEEDS]
    found = []
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            methods = [make_method(name, options=options) for _ in SEEDS]
            assert methods[0].joins_seeds
            type(methods[0]).train_many(methods, tasks)
            found.append([method.classify(np.arange(100)) for method in methods])
    assert not caplog.records
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(found).all()

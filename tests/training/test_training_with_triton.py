"""Both stages train and test with kernels of Triton, seeds at once too, much as with torch's.

Run by Triton's interpreter, as tests/model/test_kernels.py does; what holds on a GPU is in test_training_on_a_gpu.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffclip import attention
from diffclip.training import finetuning, inference, pretraining
from diffclip.training.method import DiffCLIPMethod

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="Triton's interpreter runs these for test_kernels.py"
)
SEEDS = (0, 3)
# One head of 16 channels, and two blocks.
OPTIONS = {"heads": 1, "decoder_heads": 1, "depth": 2}


@contextmanager
def half_precision(*, triton: bool) -> Iterator[list[tuple[int, ...]]]:
    """Compute in float16 with Triton's kernels or torch's; yield the shapes of what the former are given."""
    from diffclip import short_attention

    shapes = []

    def noted(attend):
        def call(*inputs):
            shapes.append(tuple(inputs[0].shape))
            return attend(*inputs)

        return call

    @contextmanager
    def computed_in(precision, device):
        with torch.autocast("cpu", torch.float16), attention.short_kernels(triton):
            yield

    with pytest.MonkeyPatch.context() as patch:
        for name in ("self_attend", "attend"):
            patch.setattr(short_attention, name, noted(getattr(short_attention, name)))
        patch.setattr(short_attention, "serves", lambda _tokens, head, dtype: head == 16 and dtype == torch.float16)
        for stage in (pretraining, finetuning, inference):
            patch.setattr(stage, "computed_in", computed_in)
        yield shapes


def test_stage_1(scene, stage_1, tmp_path):
    found, settings = [], stage_1(**OPTIONS)
    for triton in (True, False):
        paths = [tmp_path / f"{triton}-{seed}.safetensors" for seed in SEEDS]
        with half_precision(triton=triton) as shapes:
            curves = pretraining.pretrain_many(scene.imagery, settings, seeds=SEEDS, device="cpu", paths=paths)
        found.append([curve[part] for curve in curves for part in ("hidden", "visible")])
        # Two seeds' batches of 8 windows: visible tokens in the encoder, all 25 in decoders, and the class token.
        assert {shape[:2] for shape in shapes} == ({(16, 11), (16, 26)} if triton else set())
    np.testing.assert_allclose(*found, rtol=2e-3)


def test_stage_2_and_testing(make_method, draw_task):
    tasks = [replace(draw_task(seed=seed), seed=seed) for seed in SEEDS]
    found = []
    for triton in (True, False):
        methods = [make_method(pretrain="none", **OPTIONS) for _ in SEEDS]
        with half_precision(triton=triton) as shapes:
            DiffCLIPMethod.train_many(methods, tasks)
            trained = len(shapes)
            found.append([method.classify(np.arange(40)) for method in methods])
        # All tokens in the first block, the class token in the last.
        assert {shape[1] for shape in shapes} == ({26, 1} if triton else set())
        assert (len(shapes) > trained > 0) == triton
    np.testing.assert_allclose(*found, rtol=0.02, atol=0.02)

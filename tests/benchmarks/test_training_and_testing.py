"""DiffCLIP at the paper's sizes: window gathering, a step of each stage, testing, a whole cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from diffclip.attention import attend, self_attend, short_kernels
from diffclip.device import repeatable_kernels
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import Scene
from diffclip.training import finetuning, pretraining
from diffclip.training.method import DiffCLIPMethod
from diffclip.training.updates import stacked
from tests.benchmarks.plain import Slices, adam, classify, stage_1_step, stage_2_step

MASK_RATIO = 0.7
PRECISIONS = ("fp32", "tf32", "bf16", "bf16-triton")
SHOTS_IN_PAPER = 6  # cells of a scene that share stage 1
REPLAYS = 20  # of a graph that takes less than a millisecond
LONG = 10_000  # updates; of so long a training parts are compiled


class Step(NamedTuple):
    """How a step is made: in a precision, of some seeds at once, with compiled parts or without."""

    precision: str
    seeds: int
    compiled: bool = False

    def __str__(self) -> str:
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.precision}, {seeds}" + (", compiled" if self.compiled else "")


ON_ANY = (Step("fp32", 1), Step("bf16", 1))
# The settings that are meant first: kernels that they compile are at hand for what is measured later.
MEANT = (Step("bf16", 10, True), Step("bf16-triton", 10, True))
ON_A_GPU = (
    *MEANT,
    *ON_ANY,
    *(Step("bf16", seeds) for seeds in (2, 5, 10)),
    Step("tf32", 10),
    Step("fp32", 10),
    Step("bf16", 1, True),
)


def method_of(**options: Any) -> DiffCLIPMethod:
    return DiffCLIPMethod(DiffCLIPMethod.Options(**options))


@pytest.fixture(scope="module")
def task(scene: Scene, sizes: Any, device: str) -> Callable[..., FewShotTask]:
    """Return `make(classes=, seed=)`: a few-shot task on the scene."""

    def make(classes: int = sizes.classes, seed: int = 0) -> FewShotTask:
        flat, generator = scene.labels.ravel(), np.random.default_rng(seed)
        pixels = [generator.permutation(np.flatnonzero(flat == k))[: sizes.shots] for k in range(1, classes + 1)]
        train = np.concatenate(pixels)
        return FewShotTask(
            scene=scene.imagery,
            train_pixels=train,
            train_labels=flat[train],
            classes=np.arange(1, classes + 1, dtype=np.int16),
            class_names=scene.class_names[:classes],
            class_descriptions=(),
            shots=sizes.shots,
            seed=seed,
            device=device,
            study_window=sizes.window,
            study_mask_ratio=MASK_RATIO,
        )

    return make


def precisions(device: str) -> tuple[str, ...]:
    return PRECISIONS if device == "cuda" else ("fp32", "bf16")


@pytest.fixture(params=PRECISIONS)
def precision(request: pytest.FixtureRequest, device: str) -> str:
    if request.param not in precisions(device):
        pytest.skip("on a CPU tf32 is fp32, and bf16-triton is bf16")
    return request.param


@pytest.fixture(params=ON_A_GPU, ids=str)
def how(request: pytest.FixtureRequest, device: str) -> Step:
    if device == "cpu" and request.param not in ON_ANY:
        pytest.skip("for a GPU: on a CPU seeds go one after another, and nothing is compiled")
    return request.param


def test_gathering_windows(against, scene, sizes, device):
    pixels = np.random.default_rng(1).integers(scene.imagery.n_pixels, size=sizes.batch)
    slices = Slices(scene.imagery, sizes.window, device)
    windows = finetuning.SceneWindows(scene.imagery, "standard", sizes.window, device)
    asked = torch.from_numpy(pixels).to(device)
    for quick, plain in zip(windows(asked), slices(pixels), strict=True):
        assert torch.equal(quick, plain)
    against(lambda: windows(asked), lambda: slices(pixels), {"windows": sizes.batch}, rounds=5 * sizes.rounds)


def _stage_1(scene: Scene, sizes: Any, device: str, count: int, updates: int = 1, **options: Any) -> Callable[[], Any]:
    """Return one step of stage 1 of several seeds."""
    settings = method_of(**options).options.stage_1(sizes.window, MASK_RATIO)
    chosen = SimpleNamespace(**settings)
    windows = pretraining.windows_of(scene.imagery, chosen, device)
    models = [pretraining.untrained(windows, chosen, seed).to(device).train() for seed in range(count)]
    model = pretraining.together(models) if count > 1 else models[0]
    optimiser, _ = pretraining.stage_1_optimiser(model, chosen, 100)
    losses = pretraining.partial(pretraining._losses, model, windows, chosen, device)
    update = pretraining.Updates(losses, optimiser, device, updates)
    generators = [torch.Generator(device).manual_seed(seed) for seed in range(count)]
    pixels = torch.from_numpy(np.random.default_rng(1).integers(scene.imagery.n_pixels, size=sizes.batch)).to(device)

    def step() -> None:
        with repeatable_kernels(device, strictly=True):
            update(stacked([pretraining._drawn(windows, pixels, chosen, generator) for generator in generators]))

    return step


@pytest.mark.parametrize("asking", ["visible tokens", "all tokens", "the class token of all"])
def test_attending(against, sizes, device, asking):
    """Ten seeds' batches in a block, forwards and back: kernels for short sequences against PyTorch's.

    Both from CUDA graphs, as in training: without Python, which takes longer than they do.
    """
    if device == "cpu":
        pytest.skip("kernels for a GPU")
    count, tokens = 10 * sizes.batch, 1 + int((1 - MASK_RATIO if "visible" in asking else 1) * sizes.window**2)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, device=device, dtype=torch.bfloat16, requires_grad=True)

    inputs = [drawn(1, 128), drawn(tokens, 256)] if "class" in asking else [drawn(tokens, 384)]
    mix, grad = (attend if "class" in asking else self_attend), drawn(inputs[0].shape[1], 128).detach()

    def replays(wanted: bool) -> Callable[[], None]:
        beside, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with short_kernels(wanted), repeatable_kernels(device, strictly=True):
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(3):
                    torch.autograd.grad(mix(*inputs, 8), inputs, grad)
            torch.cuda.current_stream().wait_stream(beside)
            with torch.cuda.graph(graph):
                torch.autograd.grad(mix(*inputs, 8), inputs, grad)

        def replay() -> None:
            for _ in range(REPLAYS):
                graph.replay()

        return replay

    work = {"sequences": REPLAYS * count}
    against(replays(True), replays(False), work, rounds=10 * sizes.rounds, computes=False)


def _plain_stage_1(scene: Scene, sizes: Any, device: str, count: int = 1) -> Callable[[], Any]:
    chosen = SimpleNamespace(**method_of().options.stage_1(sizes.window, MASK_RATIO))
    windows = pretraining.windows_of(scene.imagery, chosen, device)
    model = pretraining.untrained(windows, chosen, 0).to(device).train()
    slices, optimiser = Slices(scene.imagery, sizes.window, device), adam(model)
    pixels = np.random.default_rng(1).integers(scene.imagery.n_pixels, size=sizes.batch)

    def steps() -> None:
        for _ in range(count):
            stage_1_step(model, slices, pixels, optimiser)

    return steps


def test_a_step_of_stage_1(against, scene, sizes, device, how):
    quick = _stage_1(scene, sizes, device, how.seeds, LONG if how.compiled else 1, precision=how.precision)
    work = {"windows": sizes.batch * how.seeds}
    against(quick, _plain_stage_1(scene, sizes, device, how.seeds), work, **how._asdict())


def _stage_2(tasks: list[FewShotTask], sizes: Any, device: str, updates: int = 1, **options: Any) -> Callable[[], Any]:
    """Return one step of stage 2 of several seeds."""
    chosen = method_of(pretrain="none", batch=sizes.batch, **options).options
    begun = [finetuning.start(one, chosen) for one in tasks]
    model = finetuning.together([one.model for one in begun]) if len(begun) > 1 else begun[0].model
    optimiser, _ = finetuning.stage_2_optimiser(model.train(), chosen, 100, 1)
    inputs = stacked([{"texts": one.inputs} for one in begun])["texts"]
    update = finetuning.Updates(
        finetuning.partial(finetuning._losses, model, inputs, chosen, device), optimiser, device, updates
    )
    # One and the same batch, for a step's cost depends on its shape.
    drawn = [next(finetuning._batches(one, own, chosen)) for one, own in zip(begun, tasks, strict=True)]

    def step() -> None:
        with repeatable_kernels(device, strictly=True):
            update(stacked(drawn))

    return step


def _plain_stage_2(one: FewShotTask, sizes: Any, device: str, count: int = 1) -> Callable[[], Any]:
    chosen = method_of(pretrain="none").options
    model, ids, _ = finetuning.start(one, chosen)
    slices, optimiser = Slices(one.scene, sizes.window, device), adam(model.train())
    order = np.random.default_rng(1).permutation(len(one.train_pixels))[: sizes.batch]
    pixels, targets = one.train_pixels[order], torch.from_numpy(one.train_targets[order]).to(device)

    def steps() -> None:
        for _ in range(count):
            stage_2_step(model, slices, pixels, ids, targets, optimiser)

    return steps


def test_a_step_of_stage_2(against, task, sizes, device, how):
    tasks = [task(seed=seed) for seed in range(how.seeds)]
    quick = _stage_2(tasks, sizes, device, LONG if how.compiled else 1, precision=how.precision)
    work = {"windows": min(sizes.batch, len(tasks[0].train_pixels)) * how.seeds}
    against(quick, _plain_stage_2(tasks[0], sizes, device, how.seeds), work, **how._asdict())


def test_testing_1000_pixels(against, task, sizes, device, precision):
    method = method_of(pretrain="none", epochs=0, precision=precision)
    method.train(task())
    # Row after row, as a whole scene is classified.
    pixels = method.task.scene.n_pixels // 3 + np.arange(sizes.pixels)
    slices, (model, ids, _) = Slices(method.task.scene, sizes.window, device), finetuning.start(task(), method.options)
    model.eval()

    def plain() -> None:
        classify(model, slices, pixels, ids)

    against(lambda: method.classify(pixels), plain, {"pixels": sizes.pixels}, precision=precision)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "one of six that share stage 1"])
def test_a_cell_of_six_classes(against, task, scene, sizes, device, shared):
    """A 1/133 of a cell: 6 steps of stage 1 (800: 400 epochs of 240 windows), 2 of stage 2 (300), 112 pixels (15,000).

    Plain cells learn stage 1 each for itself; the suite's cells of a scene, one per number of shots, share it.
    """
    steps = (1, 1, 8) if sizes.rounds == 1 else (6, 2, 112)
    precision = "bf16"
    one = task(classes=min(6, sizes.classes))
    first, second = (
        _stage_1(scene, sizes, device, 1, precision=precision),
        _stage_2([one], sizes, device, precision=precision),
    )
    method = method_of(pretrain="none", epochs=0, precision=precision)
    method.train(one)
    pixels = scene.imagery.n_pixels // 3 + np.arange(steps[2])
    plain_first, plain_second = _plain_stage_1(scene, sizes, device), _plain_stage_2(one, sizes, device)
    slices, (model, ids, _) = Slices(scene.imagery, sizes.window, device), finetuning.start(one, method.options)
    model.eval()

    def quick() -> None:
        for _ in range(steps[0] // SHOTS_IN_PAPER or 1 if shared else steps[0]):
            first()
        for _ in range(steps[1]):
            second()
        method.classify(pixels)

    def plain() -> None:
        for _ in range(steps[0]):
            plain_first()
        for _ in range(steps[1]):
            plain_second()
        classify(model, slices, pixels, ids)

    against(quick, plain, {"cells": 1}, rounds=1, precision=precision)


@pytest.mark.parametrize("kind", [step.precision for step in MEANT])
def test_ten_seeds_of_a_cell_on_a_gpu(benchmark, scene, task, device, sizes, tmp_path: Path, kind: str):
    """The target: 400 + 150 epochs of 40 shots of 15 classes, and 15,000 test pixels, in at most 60 s.

    Kernels that were compiled for steps of these sizes before are at hand (`gpu_benchmark.sh` measures those first).
    """
    if device != "cuda" and sizes.rounds > 1:
        pytest.skip("takes hours on a CPU")
    from time import perf_counter

    tiny = sizes.rounds == 1
    count, tested = (2, 20) if tiny else (10, 15_000)
    # 400 epochs of 600 windows, in batches of 128.
    steps = 400 * sizes.classes * sizes.shots // sizes.batch
    epochs = {"pretrain_steps": 2, "epochs": 1} if tiny else {"pretrain_steps": steps, "epochs": 150}
    options = {"precision": kind, "batch": sizes.batch, **epochs}
    methods = [method_of(**options) for _ in range(count)]
    paths = [tmp_path / f"seed-{seed}.safetensors" for seed in range(count)]
    parts: dict[str, float] = {}

    def cell() -> None:
        marks = [perf_counter()]
        settings = methods[0].options.stage_1(sizes.window, MASK_RATIO)
        pretraining.pretrain_many(scene.imagery, settings, seeds=range(count), device=device, paths=paths)
        marks.append(perf_counter())
        tasks = [replace(task(seed=seed), pretrained=path) for seed, path in enumerate(paths)]
        DiffCLIPMethod.train_many(methods, tasks)
        marks.append(perf_counter())
        pixels = np.random.default_rng(2).permutation(scene.imagery.n_pixels)[:tested]
        for method in methods:
            method.classify(pixels)
        marks.append(perf_counter())
        parts.update(zip(("stage 1", "stage 2", "testing"), np.diff(marks).tolist(), strict=True))

    benchmark.pedantic(cell, rounds=1)
    benchmark.extra_info |= {"parts": parts, "seeds": count, "precision": kind} | {
        "device": device,
        "tiny": tiny,
        "work": {"cells": 1},
    }


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_the_machines_own_limit(against, sizes, device, kind):
    """Products of large matrices: what the arithmetic of the others is held against."""
    side = 64 if sizes.rounds == 1 else (8192 if device == "cuda" else 2048)
    left, right = (torch.randn(side, side, device=device, dtype=getattr(torch, kind)) for _ in "12")
    against(lambda: left @ right, None, {"products": 1}, rounds=3 * sizes.rounds, precision=kind)

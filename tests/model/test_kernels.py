"""Kernels of Triton are built for GPUs that are not here, and run by Triton's interpreter; a switch turns them on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffclip.attention import attend, self_attend, short_kernels
from diffclip.errors import UserError
from diffclip.training.updates import computed_in

triton = pytest.importorskip("triton")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU runs test_short_attention.py itself")
def test_tritons_interpreter_finds_them_right():
    files = ("model/test_short_attention.py", "training/test_training_with_triton.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    settings = os.environ | {"TRITON_INTERPRET": "1"}
    tests = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=tests, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize(("asking", "tokens"), [(16, 16), (37, 37), (1, 37), (122, 122), (2, 122)])
def test_they_compile_for_gpus_that_are_not_here_without_spilling_registers(asking, tokens, capability, tmp_path):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from diffclip import kernels
    from diffclip.short_attention import sizes

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    for kernel in (kernels.forward, kernels.backward):
        constants = sizes(asking, tokens, 16)
        warps, names = constants.pop("num_warps"), kernel.arg_names
        numbers = dict.fromkeys(("asking", "tokens", "heads", "query_step", "asked_step"), "i32")
        kinds = {"norms": "*fp32", "scale": "fp32"} | numbers | dict.fromkeys(constants, "constexpr")
        signature = {name: kinds.get(name, "*bf16") for name in names}
        # What Triton sees of the arguments themselves: arrays and rows begin at multiples of 16.
        aligned = [name for name in names if "*" in signature[name] or name.endswith("_step")]
        source = ASTSource(
            kernel, signature, constants, {(names.index(name),): [["tt.divisibility", 16]] for name in aligned}
        )
        code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
        # Triton 3.6 takes a few bytes beyond 48 KiB.
        assert code.metadata.shared <= 49 * 1024
        (tmp_path / "code.cubin").write_bytes(code.asm["cubin"])
        used = subprocess.run([tool, "-res-usage", tmp_path / "code.cubin"], capture_output=True, text=True, check=True)
        assert "STACK:0 " in used.stdout


def test_long_or_exact_sequences_and_wide_or_odd_heads_are_left_to_torch():
    from diffclip.short_attention import serves

    assert serves(128, 16, torch.bfloat16)
    assert serves(1, 32, torch.bfloat16)
    for others in ((129, 16, torch.bfloat16), (128, 24, torch.bfloat16), (128, 64, torch.bfloat16)):
        assert not serves(*others)
    assert not serves(128, 16, torch.float32)


def test_they_are_on_where_that_is_asked_for_and_on_a_gpu_alone(monkeypatch):
    from diffclip import short_attention

    asked = []
    monkeypatch.setattr(short_attention, "self_attend", lambda qkv, heads: asked.append("all") or qkv[..., :32])
    monkeypatch.setattr(short_attention, "attend", lambda queries, others, heads: asked.append("some") or queries)
    qkv = torch.zeros(2, 3, 96, dtype=torch.bfloat16)
    self_attend(qkv, 2)
    with computed_in("bf16-triton", "cpu"):
        assert torch.is_autocast_enabled("cpu")
        self_attend(qkv, 2)
    assert asked == []
    with short_kernels(True):
        assert self_attend(qkv[None], 2).shape == (1, 2, 3, 32)
        assert attend(qkv[None, :, :1, :32], qkv[None, ..., 32:], 2).shape == (1, 2, 1, 32)
        self_attend(qkv, 2, causal=True)
        self_attend(qkv.float(), 2)
    self_attend(qkv, 2)
    assert asked == ["all", "some"]


def test_what_is_compiled_without_them_is_compiled_anew_with_them(monkeypatch):
    from diffclip import short_attention

    monkeypatch.setattr(short_attention, "serves", lambda *_: True)
    monkeypatch.setattr(short_attention, "self_attend", lambda qkv, heads: qkv[..., :32])
    torch._dynamo.reset()
    compiled, qkv = torch.compile(lambda x: self_attend(x, 2) * 1.0, backend="eager"), torch.randn(2, 3, 96)
    found = []
    for wanted in (False, True, False, True):
        with short_kernels(wanted):
            found.append(compiled(qkv))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
    assert torch.equal(found[1], qkv[..., :32])
    assert not torch.equal(found[0], found[1])


def test_a_torch_without_triton_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    for name in ("diffclip.short_attention", "diffclip.kernels"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("diffclip.short_attention", raising=False)
    with pytest.raises(UserError, match="precision bf16-triton: .*triton.*, expected a PyTorch"), short_kernels(True):
        pass

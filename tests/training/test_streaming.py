"""A scene larger than the memory is classified all the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from diffclip.scene.scene import Scene, SceneInfo
from diffclip.scene.store import save_scene

ROWS, COLUMNS, BANDS = 400, 400, 100  # 64 MB
ALLOWED = 48  # MB beyond what a process has that has imported everything
PROGRAM = f"""
import resource, sys
from pathlib import Path
import numpy as np, torch
from diffclip.language.tower import TextTower
from diffclip.model.classifier import DiffCLIP
from diffclip.model.encoder import Architecture
from diffclip.scene import mapped
from diffclip.scene.store import open_scene
from diffclip.training.inference import scores
from diffclip.training.windows import SceneWindows

if sys.argv[2] == "mapped":
    mapped.MAPPED_ABOVE, mapped._BLOCK = 0, 2**19
shape = Architecture(window=5, stem=8, width=8, depth=1, heads=2)
model = DiffCLIP([{BANDS}, 1], shape, TextTower(4, 8, 1, 2, 8), 8, 0.07).eval()
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
data = int(status["VmData"].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + {ALLOWED} * 2**20,) * 2)
imagery = open_scene(Path(sys.argv[1])).imagery
windows = SceneWindows(imagery, "standard", 5, "cpu")
pixels = np.arange(0, imagery.n_pixels, 40)
found = scores(model, torch.eye(3, 8), windows, pixels, "cpu")
assert found.shape == (len(pixels), 3) and np.isfinite(found).all()
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Write a scene."""
    folder = tmp_path_factory.mktemp("large")
    generator = np.random.default_rng(0)
    hsi = generator.standard_normal((ROWS, COLUMNS, BANDS), np.float32)
    labels = np.ones((ROWS, COLUMNS), np.int16)
    save_scene(Scene("large", hsi, hsi[..., :1], labels, ("land",), SceneInfo("Large", simulated=True)), folder)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory as Linux does")
@pytest.mark.parametrize(("kind", "fits"), [("mapped", True), ("read", False)])
def test_a_mapped_scene_needs_little_memory_and_one_that_is_read_all_of_it(large, kind, fits):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(large), kind], capture_output=True, text=True, timeout=120
    )
    if fits:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "memory" in done.stderr.lower()

"""A scene of 4,000 x 4,000 pixels and 144 bands, mapped from disk: memory and seconds. DIFFCLIP_BENCHMARKS=large."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from diffclip.scene.scene import Scene, SceneInfo
from diffclip.scene.store import open_scene, save_scene

SIDE, BANDS = 4000, 144


class Watch:
    """The most memory of its own that the process had, in MB; pages of mapped files are not its own."""

    def __init__(self) -> None:
        self.most, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.is_set():
            lines = Path("/proc/self/status").read_text().splitlines()
            own = next(line for line in lines if line.startswith("RssAnon"))
            self.most = max(self.most, int(own.split()[1]) / 1e3)
            time.sleep(0.02)

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.most


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Write the prepared scene band by band of rows, never whole in memory."""
    small = np.zeros((64, 64, BANDS), np.float32)
    labels = np.ones((64, 64), np.int16)
    save_scene(Scene("large", small, small[..., :1], labels, ("land",), SceneInfo("Large", simulated=True)), tmp_path)
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((100, SIDE, BANDS), np.float32)
    for name, channels in (("hsi", BANDS), ("aux", 1)):
        mapped = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (SIDE, SIDE, channels))
        for start in range(0, SIDE, 100):
            mapped[start : start + 100] = rows[..., :channels]
        mapped.flush()
        del mapped
    np.save(tmp_path / "labels.npy", np.ones((SIDE, SIDE), np.int16))
    return tmp_path


@pytest.mark.skipif(os.environ.get("DIFFCLIP_BENCHMARKS") != "large", reason="takes 19 GB of disk and some minutes")
def test_a_large_scene_mapped_from_disk(benchmark, prepared, device):
    import torch

    from diffclip.language.tower import TextTower
    from diffclip.model.classifier import DiffCLIP
    from diffclip.model.encoder import Architecture
    from diffclip.training.inference import scores
    from diffclip.training.windows import SceneWindows

    model = DiffCLIP([BANDS, 1], Architecture(), TextTower(8, 128, 1, 8, 128), 128, 0.07).to(device).eval()
    texts, marks = torch.eye(3, 128, device=device), []
    watch = Watch()
    before = watch.most

    def work() -> None:
        marks.append(time.process_time())
        windows = SceneWindows(open_scene(prepared).imagery, "standard", 11, device)
        for count in (500, 1000):
            marks.append(time.process_time())
            start = SIDE * SIDE // 2
            scores(model, texts, windows, np.arange(start, start + count), device)
        marks.append(time.process_time())

    benchmark.pedantic(work, rounds=1)
    opened, first, second = np.diff(marks).tolist()
    facts = {"opened_and_scaled": opened, "seconds_of_500": first, "seconds_of_1000": second, "device": device}
    benchmark.extra_info |= facts | {"memory_mb": watch.stop(), "before_mb": before}

"""Seeds that train together leave each its record; where that fails, each is trained alone and says why."""

from __future__ import annotations

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.protocol.evaluation import make_run, make_runs
from diffclip.protocol.method import Method
from diffclip.protocol.records import read_predictions, read_record

SEEDS = (0, 3, 4)


class Alone(Method):
    """Scores by the seed alone, so that a mix-up of seeds is seen."""

    title = "Joined"

    def fit(self, task):
        self.generator = np.random.default_rng(task.seed)
        self.fits = getattr(self, "fits", 0) + 1

    def predict(self, pixels):
        return np.random.default_rng(self.task.seed).random((len(pixels), len(self.task.classes)))


class Joined(Alone):
    """Trains its seeds together."""

    @classmethod
    def fit_many(cls, methods, tasks):
        for method, task in zip(methods, tasks, strict=True):
            method.fit(task)
            method.joined = len(methods)


class Breaks(Joined):
    """Cannot: it touches what it was given, then gives up; seed 3 cannot be trained alone either."""

    error: Exception = MemoryError("too large")

    @classmethod
    def fit_many(cls, methods, tasks):
        methods[0].fits = 7
        raise cls.error

    def fit(self, task):
        if task.seed == 3:
            raise ValueError("not this one")
        super().fit(task)


class Refuses(Breaks):
    """Is given wrong input."""

    error = UserError("wrong input")


@pytest.fixture
def cell(run_of, tmp_path):
    def make(method, **fields):
        runs = [run_of(method(), seed=seed, **fields) for seed in SEEDS]
        return runs, [tmp_path / f"seed-{seed}.json" for seed in SEEDS]

    return make


def test_each_seed_has_the_record_of_a_run_alone_and_says_how_many_trained_together(cell, tmp_path):
    runs, paths = cell(Joined)
    records = make_runs(runs, paths)
    assert [run.method.joined for run in runs] == [3, 3, 3]
    assert [read_record(path) for path in paths] == records
    assert {(record.cost.seeds_together, record.cost.alone_because) for record in records} == {(3, None)}
    assert len({record.cost.fit_seconds for record in records}) == 1  # the group's time, in equal parts
    for run, path, record in zip(cell(Alone)[0], paths, records, strict=True):
        alone = make_run(run, tmp_path / "alone.json")
        assert alone.cost.seeds_together == 1
        assert (alone.metrics, alone.identity) == (record.metrics, record.identity)
        for key, value in read_predictions(tmp_path / "alone.json").items():
            assert np.array_equal(value, read_predictions(path)[key])


def test_seeds_that_cannot_be_trained_together_are_trained_alone_and_say_why(cell):
    runs, paths = cell(Breaks)
    records = make_runs(runs, paths)
    assert [record.status for record in records] == ["ok", "failed", "ok"]
    assert records[1].reason == "ValueError: not this one"
    for record in (records[0], records[2]):
        assert (record.cost.seeds_together, record.cost.alone_because) == (1, "MemoryError: too large")


def test_wrong_input_of_seeds_together_is_passed_on(cell):
    with pytest.raises(UserError, match="wrong input"):
        make_runs(*cell(Refuses))


def test_a_number_of_seeds_that_is_asked_for_decides_the_result_of_methods_that_join_them(run_of):
    def prints(method):
        return [run_of(method(), seeds_at_once=number).fingerprint for number in (None, 1, 2)]

    assert (Joined().joins_seeds, Alone().joins_seeds) == (True, False)
    assert len(set(prints(Joined))) == 3
    assert len(set(prints(Alone))) == 1


def test_joules_are_recorded_where_the_device_tells_and_shared_by_seeds_together(cell, tmp_path, monkeypatch):
    # Every reading is ten joules further: training together takes ten, testing each seed another ten.
    counter = iter(range(0, 10_000, 10))
    monkeypatch.setattr("diffclip.energy.processor_joules", lambda: float(next(counter)))
    runs, paths = cell(Joined)
    assert [record.cost.energy_joules for record in make_runs(runs, paths)] == pytest.approx([10 + 10 / 3] * 3)
    assert make_run(cell(Alone)[0][0], tmp_path / "alone.json").cost.energy_joules == 10.0
    monkeypatch.setattr("diffclip.energy.processor_joules", lambda: None)
    assert make_run(cell(Alone)[0][0], tmp_path / "untold.json").cost.energy_joules is None

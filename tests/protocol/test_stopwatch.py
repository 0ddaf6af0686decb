"""The clock of costs: what it counts and what it does not."""

import builtins
import sys
import threading

import pytest

from diffclip.protocol.stopwatch import stopwatch


class Hours:
    """A clock that goes when it is told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def hours(monkeypatch, tmp_path):
    """A clock, and modules that take 100 seconds to load, of which 60 are those of another."""
    hours = Hours()
    monkeypatch.setattr("diffclip.protocol.stopwatch.time", hours)
    monkeypatch.setattr(sys, "a_clock_that_stands", hours, raising=False)
    (tmp_path / "slow_inner.py").write_text("import sys\nsys.a_clock_that_stands.work(60)\n")
    (tmp_path / "slow_outer.py").write_text("import sys\nimport slow_inner\nsys.a_clock_that_stands.work(40)\n")
    (tmp_path / "broken.py").write_text("import sys\nsys.a_clock_that_stands.work(30)\nraise ValueError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield hours
    for name in ("slow_inner", "slow_outer", "broken"):
        sys.modules.pop(name, None)


def test_loading_is_not_counted_and_work_is(hours):
    with stopwatch() as passed:
        hours.work(1)
        import slow_outer

        hours.work(2)
        assert passed() == 3
        import slow_outer  # noqa: F401, F811

        hours.work(4)
        assert passed() == 7


def test_a_module_that_fails_to_load_is_not_counted_either(hours):
    with stopwatch() as passed:
        with pytest.raises(ValueError, match="broken"):
            import broken  # noqa: F401
        hours.work(5)
        assert passed() == 5


def test_what_another_thread_loads_meanwhile_takes_no_time_off(hours):
    with stopwatch() as passed:
        thread = threading.Thread(target=lambda: __import__("slow_outer"))
        thread.start()
        thread.join()
        assert passed() == 100


def test_imports_are_as_before_afterwards(hours):
    plain = builtins.__import__
    with pytest.raises(ZeroDivisionError), stopwatch():
        raise ZeroDivisionError
    assert builtins.__import__ is plain

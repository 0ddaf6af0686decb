"""Long work says how far it is: lines in a log, a bar on a terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from diffclip import progress
from diffclip.progress import Progress


@pytest.fixture
def lines(caplog, monkeypatch):
    """Return the lines of a log."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    caplog.set_level(logging.INFO, logger="diffclip.progress")
    return lambda: [record.getMessage() for record in caplog.records]


def test_every_step_comes_once_and_in_order(lines):
    assert list(Progress("work", 4)) == [0, 1, 2, 3]


def test_a_log_hears_of_short_work_once_with_the_last_numbers(lines):
    work = Progress("stage 9", 3)
    for step in work:
        work.note(loss=step / 3, hidden=12345.6789)
    (line,) = lines()
    assert line.startswith("stage 9: 3 steps in 0.0 s")
    assert line.endswith(" s loss 0.6667, hidden 1.235e+04")


def test_a_log_hears_of_long_work_now_and_then(lines, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    work = Progress("work", 10)
    for step in work:
        now[0] += 6.0
        work.note(loss=step)
    assert lines() == [
        "work: 3 of 10, 18 s loss 2",
        "work: 6 of 10, 36 s loss 5",
        "work: 9 of 10, 54 s loss 8",
        "work: 10 steps in 60.0 s loss 9",
    ]


def test_a_terminal_shows_a_bar_and_no_lines(lines, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    work = Progress("work", 3)
    steps = []
    for step in work:
        work.note(loss=0.25)
        steps.append(step)
    assert steps == [0, 1, 2]
    assert lines() == []
    assert "work" in capsys.readouterr().err

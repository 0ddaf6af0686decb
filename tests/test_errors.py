"""Messages that help."""

from __future__ import annotations

from diffclip.errors import did_you_mean


def test_the_nearest_known_word_is_offered():
    assert did_you_mean("shot", ["seeds", "shots", "scenes"]) == " (did you mean 'shots'?)"


def test_nothing_is_offered_when_nothing_is_near():
    assert did_you_mean("banana", ["seeds", "shots"]) == ""
    assert did_you_mean("shots", []) == ""

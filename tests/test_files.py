"""Files are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffclip.files import write_atomically


def test_folders_are_made_and_the_file_is_readable_by_others(tmp_path: Path):
    path = write_atomically(tmp_path / "a" / "b" / "file.txt", lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")

    def half(file):
        file.write(b"ne")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_no_litter_either(tmp_path: Path):
    def interrupted(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file.txt", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")

    def look_meanwhile(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, look_meanwhile)
    assert path.read_bytes() == b"new"

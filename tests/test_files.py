"""Files are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffclip.errors import DamagedFileError
from diffclip.files import forget, keep, put_back, read_array, read_arrays, read_json, write_atomically


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


def test_a_kept_file_outlives_its_removal_and_its_replacement(tmp_path: Path):
    path = write_atomically(tmp_path / "a.json", lambda file: file.write(b"first"))
    keep(path)
    path.unlink()
    assert put_back(path)
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]
    assert path.read_bytes() == b"first"
    assert not put_back(path)
    keep(path)
    keep(path)
    path.write_bytes(b"older, put back by somebody else")
    assert put_back(path)
    assert path.read_bytes() == b"first"
    keep(path)
    forget(path)
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


def test_what_was_written_is_read(tmp_path: Path):
    write_atomically(tmp_path / "one.npy", lambda file: np.save(file, np.arange(5)))
    write_atomically(tmp_path / "two.npz", lambda file: np.savez(file, a=np.arange(3), b=np.arange(4)))
    write_atomically(tmp_path / "facts.json", lambda file: file.write(b'{"a": 1}'))
    assert read_array(tmp_path / "one.npy").tolist() == [0, 1, 2, 3, 4]
    assert isinstance(read_array(tmp_path / "one.npy", mapped_above=0), np.memmap)
    assert sorted(read_arrays(tmp_path / "two.npz")) == ["a", "b"]
    assert list(read_arrays(tmp_path / "two.npz", "b")) == ["b"]
    assert read_json(tmp_path / "facts.json") == {"a": 1}


DAMAGED = {"missing": None, "empty": b"", "text": b"a plain text", "bytes": b"\xff\xfe\x00", "half": b"half"}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("mapped_above", [0, 1e9])
def test_a_file_that_cannot_be_read_is_told_by_name_and_never_as_a_pickle(tmp_path: Path, content, mapped_above):
    array, arrays, facts = (tmp_path / name for name in ("one.npy", "two.npz", "facts.json"))
    np.save(array, np.arange(100))
    np.savez_compressed(arrays, a=np.arange(100))
    facts.write_text('{"a": [1, 2, 3]}')
    for path, read in (
        (array, lambda path: read_array(path, mapped_above=mapped_above)),
        (arrays, lambda path: read_arrays(path, "a")),
        (facts, read_json),
    ):
        whole = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
        with pytest.raises(DamagedFileError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: damaged: ")
        assert str(error.value).endswith("remove it and run the study again, which makes it anew")
        assert "pickle" not in str(error.value)


def test_arrays_without_the_one_and_files_that_hold_no_object_are_damaged(tmp_path: Path):
    np.savez(tmp_path / "two.npz", a=np.arange(3))
    (tmp_path / "facts.json").write_text("[1]")
    with pytest.raises(DamagedFileError, match=r"two\.npz: damaged: .*'?b\b"):
        read_arrays(tmp_path / "two.npz", "b")
    with pytest.raises(DamagedFileError, match=r"facts\.json: damaged: found list, expected an object"):
        read_json(tmp_path / "facts.json")

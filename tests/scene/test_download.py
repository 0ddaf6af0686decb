"""Where files are looked for, what is downloaded, and what is said when that fails."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.scene.card import MeasuredCard, load_card
from diffclip.scene.download import home, locate
from diffclip.scene.load import load_scene

CardWriter = Callable[..., Path]
FILES = ("hsi.npy", "aux.npy", "labels.npy")


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An HTTP server on this machine: (its address, the folder it serves)."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()


@pytest.fixture
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$DIFFCLIP_DATA points at an empty folder; the tiny scene's home below it."""
    monkeypatch.setenv("DIFFCLIP_DATA", str(tmp_path / "home"))
    return tmp_path / "home" / "tiny"


def _card(path: Path) -> MeasuredCard:
    card = load_card(path)
    assert isinstance(card, MeasuredCard)
    return card


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _zipped(data: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as opened:
        for name in FILES:
            opened.write(data / name, f"Tiny-1.0/inner/{name}")
        opened.writestr("Tiny-1.0/README.md", "not needed")
    return _sha256(archive)


def test_a_zip_is_fetched_once_and_its_members_land_in_the_data_folder(
    write_card: CardWriter, server: tuple[str, Path], home_folder: Path, tmp_path: Path
) -> None:
    address, served = server
    write_card()
    checksum = _zipped(tmp_path / "data", served / "tiny.zip")
    sums = {name: _sha256(tmp_path / "data" / name) for name in FILES}
    download = [{"url": f"{address}/tiny.zip", "sha256": checksum}]
    path = write_card(without=("folder",), download=download, sha256=sums)
    first = load_scene(path)
    assert sorted(file.name for file in home_folder.iterdir()) == sorted(FILES)
    (served / "tiny.zip").unlink()
    assert load_scene(path).sha256 == first.sha256


def test_single_files_are_fetched_as_they_are(
    write_card: CardWriter, server: tuple[str, Path], home_folder: Path, tmp_path: Path
) -> None:
    address, served = server
    write_card()
    download = []
    for name in FILES:
        (served / name).write_bytes((tmp_path / "data" / name).read_bytes())
        download.append({"url": f"{address}/{name}?download=1", "sha256": _sha256(served / name)})
    assert load_scene(write_card(without=("folder",), download=download)).hsi.shape == (4, 6, 3)
    assert (home_folder / "hsi.npy").is_file()


def test_a_wrong_checksum_of_a_download_is_refused_with_what_to_do(
    write_card: CardWriter, server: tuple[str, Path], home_folder: Path, tmp_path: Path
) -> None:
    address, served = server
    write_card()
    _zipped(tmp_path / "data", served / "tiny.zip")
    path = write_card(without=("folder",), download=[{"url": f"{address}/tiny.zip", "sha256": "0" * 64}])
    with pytest.raises(UserError) as refused:
        locate(_card(path))
    text = str(refused.value)
    assert f"{address}/tiny.zip failed" in text and "hash" in text
    assert "by hand" in text and str(home_folder) in text and "hsi.npy, aux.npy, labels.npy" in text
    assert not (home_folder / "hsi.npy").exists()


def test_an_address_without_the_file_is_refused(
    write_card: CardWriter, server: tuple[str, Path], home_folder: Path
) -> None:
    path = write_card(without=("folder",), download=[{"url": f"{server[0]}/gone.zip", "sha256": "0" * 64}])
    with pytest.raises(UserError, match=r"gone\.zip failed: 404(.|\n)*by hand"):
        locate(_card(path))


def test_an_archive_without_the_file_is_refused(
    write_card: CardWriter, server: tuple[str, Path], home_folder: Path, tmp_path: Path
) -> None:
    address, served = server
    write_card()
    checksum = _zipped(tmp_path / "data", served / "tiny.zip")
    download = [{"url": f"{address}/tiny.zip", "sha256": checksum}]
    path = write_card(without=("folder",), download=download, hsi={"file": "cube.npy"})
    with pytest.raises(UserError, match=r"download: no cube\.npy at http"):
        locate(_card(path))


def test_files_that_lie_in_the_data_folder_are_used_without_a_download(
    write_card: CardWriter, home_folder: Path, tmp_path: Path
) -> None:
    path = write_card(without=("folder",), download=[{"url": "http://127.0.0.1:9/tiny.zip", "sha256": "0" * 64}])
    home_folder.parent.mkdir()
    (tmp_path / "data").rename(home_folder)
    assert locate(_card(path))["hsi.npy"] == home_folder / "hsi.npy"


def test_the_cards_folder_comes_first_and_may_hold_variables(
    write_card: CardWriter, home_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_PLACE", str(tmp_path))
    home_folder.mkdir(parents=True)
    for name in FILES:
        np.save(home_folder / name, 0)
    assert locate(_card(write_card(folder="${TINY_PLACE}/data")))["hsi.npy"] == tmp_path / "data" / "hsi.npy"


def test_a_variable_that_is_not_set_is_named(write_card: CardWriter, no_data_folder: None) -> None:
    with pytest.raises(UserError, match=r"\$DIFFCLIP_DATA is not set; set it first, e\.g\. export DIFFCLIP_DATA="):
        locate(_card(write_card(folder="$DIFFCLIP_DATA/tiny")))


def test_a_missing_file_is_refused_with_the_nearest_that_is_there(write_card: CardWriter) -> None:
    with pytest.raises(UserError, match=r"no HSI\.npy \(did you mean 'hsi\.npy'\?\).*found aux\.npy, hsi\.npy"):
        locate(_card(write_card(hsi={"file": "HSI.npy"})))
    with pytest.raises(UserError, match="is no folder, expected one with hsi.npy"):
        locate(_card(write_card(folder="nowhere")))


def test_a_scene_without_folder_and_download_says_where_to_put_its_files(
    write_card: CardWriter, home_folder: Path
) -> None:
    with pytest.raises(UserError, match=f"{home_folder} is no folder.*put them there"):
        locate(_card(write_card(without=("folder",))))


def test_a_users_own_file_with_another_checksum_is_refused(write_card: CardWriter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sha256: .*aux\.npy has [0-9a-f]{64}, expected 0{64}"):
        locate(_card(write_card(sha256={"aux.npy": "0" * 64})))


def test_without_the_variable_files_go_to_the_users_cache(no_data_folder: None) -> None:
    assert home("tiny").name == "tiny" and "diffclip" in str(home("tiny"))

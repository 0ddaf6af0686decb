"""Where a card's files lie: the folder it names, the user's data folder, or the net (fetched once)."""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch

from diffclip.errors import UserError, did_you_mean
from diffclip.files import write_atomically
from diffclip.scene.card import Download, MeasuredCard

DATA_VARIABLE = "DIFFCLIP_DATA"


def locate(card: MeasuredCard) -> dict[str, Path]:
    """Return where each file of a card lies, downloading what is missing.

    Looked for in this order: the card's `folder`; `$DIFFCLIP_DATA/<name>`, or the user's cache when the variable is
    not set; the card's downloads, which are put there.

    Raises:
        UserError: a file is found nowhere, a variable is not set, a download failed, or a checksum differs.
    """
    folder = _named_folder(card) or home(card.name)
    missing = [file for file in card.files if not (folder / file).is_file()]
    if missing and folder != home(card.name):
        raise UserError(f"{card.file}: folder: {_not_there(missing, folder)}")
    if missing and not card.download:
        hint = "" if DATA_VARIABLE in os.environ else f", or set {DATA_VARIABLE} to the folder that holds {card.name}/"
        raise UserError(f"{card.file}: {_not_there(missing, folder)}; put them there{hint}")
    if missing:
        _fetch(card, missing, folder)
    files = {file: folder / file for file in card.files}
    _check(card, files)
    return files


def home(name: str) -> Path:
    """Return the folder that a scene's files are expected in, or downloaded to, when its card names none."""
    data = os.environ.get(DATA_VARIABLE)
    return (Path(data).expanduser() if data else Path(pooch.os_cache("diffclip"))) / name


def _named_folder(card: MeasuredCard) -> Path | None:
    """Return the folder of the card, or None when it names none or when its download can stand in for it."""
    if not card.folder:
        return None
    unset = [name for name in re.findall(r"\$\{?(\w+)", card.folder) if not os.environ.get(name)]
    if unset and not card.download:
        raise UserError(
            f"{card.file}: folder: found {card.folder!r}, but ${unset[0]} is not set; "
            f"set it first, e.g. export {unset[0]}=/path/to/data"
        )
    if unset:
        return None
    # Joining leaves an absolute folder as it is.
    folder = card.file.parent / Path(os.path.expandvars(card.folder)).expanduser()
    return None if card.download and not folder.is_dir() else folder


def _not_there(missing: Iterable[str], folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder, expected one with {', '.join(missing)}"
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())[:30]
    wanted = ", ".join(f"{file}{_near(file, there)}" for file in missing)
    return f"no {wanted} in {folder}; found {', '.join(there) or 'nothing'}"


def _near(file: str, there: list[str]) -> str:
    # The usual difference is one of upper and lower case, or a folder in between.
    same = [path for path in there if PurePosixPath(path).name.lower() == PurePosixPath(file).name.lower()]
    return f" (did you mean {same[0]!r}?)" if same else did_you_mean(file, there)


def _fetch(card: MeasuredCard, missing: list[str], folder: Path) -> None:
    for download in card.download:
        if missing:
            missing = _fetch_one(card, download, missing, folder)
    if missing:
        raise UserError(f"{card.file}: download: no {', '.join(missing)} at {_addresses(card)}")


def _fetch_one(card: MeasuredCard, download: Download, missing: list[str], folder: Path) -> list[str]:
    """Download one address, put the files of `missing` that it holds into `folder`, return those still missing."""
    name = PurePosixPath(urlsplit(download.url).path).name
    brought = (folder / name).is_file()
    try:
        fetched = Path(
            pooch.retrieve(download.url, f"sha256:{download.sha256}", name, folder, progressbar=sys.stderr.isatty())
        )
        if whole := [file for file in missing if PurePosixPath(file).name == name]:
            held = _place(fetched, whole[0], folder)
        else:
            held = _unpack(fetched, missing, folder)
            if not brought:
                # The archive has served; a scene need not take twice its size.
                fetched.unlink(missing_ok=True)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{card.file}: download of {download.url} failed: {error}\n"
            f"To place the files by hand, put {', '.join(card.files)} into {folder}"
            f" (or into ${DATA_VARIABLE}/{card.name} with {DATA_VARIABLE} set)"
        ) from error
    return [file for file in missing if file not in held]


def _unpack(archive: Path, wanted: Iterable[str], folder: Path) -> list[str]:
    """Take the wanted files out of a .zip, in whatever folder inside it they lie; return those it held."""
    held = []
    with zipfile.ZipFile(archive) as opened:
        for file in wanted:
            members = [name for name in opened.namelist() if f"/{name}".endswith(f"/{file}")]
            if len(members) > 1:
                raise ValueError(f"{file} is ambiguous, the archive holds {', '.join(members)}")
            for member in members:
                with opened.open(member) as source:
                    write_atomically(folder / file, partial(shutil.copyfileobj, source))
                held.append(file)
    return held


def _place(fetched: Path, file: str, folder: Path) -> list[str]:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(folder / file)
    return [file]


def _check(card: MeasuredCard, files: dict[str, Path]) -> None:
    wrong = [
        f"{card.file}: sha256: {path} has {found}, expected {expected}"
        for file, expected in card.sha256.items()
        if (found := pooch.file_hash(str(path := files[file]), alg="sha256")) != expected
    ]
    if wrong:
        raise UserError("\n".join(wrong) + "\nUse the original file, or name this one's checksum in the card")


def _addresses(card: MeasuredCard) -> str:
    return ", ".join(download.url for download in card.download)

"""The one error that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Wrong input: a message that names the file, the key, what was found and what was expected.

    The command line prints it as it stands and exits with status 2; everything else that is raised is a bug.
    """


class DamagedFileError(UserError):
    """A file that the suite made and that cannot be read: who can make it does so again, with a warning.

    Attributes:
        path: the file.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path}: damaged: {reason}; remove it and run the study again, which makes it anew")
        self.path, self.reason = path, str(reason)

    @property
    def again(self) -> str:
        """What a warning says where the file is made again."""
        return f"{self.path}: damaged: {self.reason}; it is made again"


# Words of one meaning that are spelt too differently to be near.
_SYNONYMS = {"gpu": "cuda"}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest of `known`, or "" when nothing is near."""
    words = list(known)
    same = _SYNONYMS.get(word.lower())
    near = [same] if same in words else difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""

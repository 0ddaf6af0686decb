"""The one error that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong input: a message that names the file, the key, what was found and what was expected.

    The command line prints it as it stands and exits with status 2; everything else that is raised is a bug.
    """


# Words of one meaning that are spelt too differently to be near.
_SYNONYMS = {"gpu": "cuda"}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest of `known`, or "" when nothing is near."""
    words = list(known)
    same = _SYNONYMS.get(word.lower())
    near = [same] if same in words else difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""

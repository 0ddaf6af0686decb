"""Class texts in the eyes of a published CLIP: its frozen text tower, from open_clip."""

from __future__ import annotations

import logging
import os
import socket
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from jaxtyping import Float
from torch import Tensor

from diffclip.errors import UserError, did_you_mean
from diffclip.language.weights import RANDOM, is_file
from diffclip.randomness import seeded_torch

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds for a first answer of the server that holds the weights
_WAYS_OUT = (
    "give a tag with a connection to its server (kept for later runs), or the path of a local .pt or .safetensors "
    "file of these weights as clip_weights, or clip_weights: random (a stand-in, marked in tables), or "
    "text_tower: file with embeddings that 'diffclip embed-texts' made elsewhere"
)


def clip_embeddings(texts: Sequence[str], model: str, weights: str, seed: int) -> Float[Tensor, "n D"]:
    """Return the embeddings of texts by a frozen CLIP in evaluation mode, not normalised, float32 on the CPU.

    Args:
        texts: n sentences; what is longer than the model's context is cut.
        model: open_clip's name of an architecture, e.g. "ViT-B-32".
        weights: open_clip's tag, the path of a local file with a state dict, or "random".
        seed: of random weights; decides nothing else, and no global generator is touched.

    Raises:
        UserError: no such model, tag or file; no connection; or a file that does not fit the model.
    """
    # Weights that are about to be overwritten are drawn as well, whence the seed for all kinds.
    with seeded_torch(seed, "CLIP weights"), _explained(model, weights):
        tower = _load(model, weights).eval()
        tokens = _open_clip().get_tokenizer(model)(list(texts))
        with torch.no_grad():
            return tower.encode_text(tokens)


def _open_clip() -> Any:
    # Takes seconds to import, so only those who ask for CLIP pay.
    import open_clip

    return open_clip


def _load(model: str, weights: str) -> Any:
    """Return a model of open_clip with its weights."""
    open_clip = _open_clip()
    known = open_clip.list_models()
    if model not in known:
        raise UserError(f"clip_model: found {model!r}{did_you_mean(model, known)}; expected a model of open_clip")
    published: Mapping[str, Any] = open_clip.get_pretrained_cfg(model, weights)
    if weights == RANDOM:
        path = None
    elif is_file(weights):
        path = weights
        if not Path(path).is_file():
            raise UserError(f"clip_weights: {path}: no such file; {_WAYS_OUT}")
    elif published:
        path = _kept(open_clip, published) or _downloaded(open_clip, published)
    else:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise UserError(
            f"clip_weights: found {weights!r}{did_you_mean(weights, tags)}; expected a tag of {model} "
            f"({', '.join(tags) or 'none known'}) or a file or random; {_WAYS_OUT}"
        )
    # open_clip only warns when weights trained with QuickGELU meet a model without.
    quick = bool(published.get("quick_gelu") or open_clip.get_model_config(model).get("quick_gelu"))
    log.info("CLIP text tower %s, weights %s, activation %s", model, weights, "QuickGELU" if quick else "GELU")
    return open_clip.create_model(model, pretrained=path, force_quick_gelu=quick, pretrained_text=False)


def _kept(open_clip: Any, published: Mapping[str, Any]) -> str | None:
    """Return the file of published weights where an earlier run has kept it: no server is asked then."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, name = published["hf_hub"].rpartition("/")
    names = [str(Path(name).with_suffix(".safetensors")), name] if name else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    for each in names:
        with suppress(FileNotFoundError):
            return str(open_clip.pretrained.hf_hub_download(repository, each, local_files_only=True))
    return None


def _downloaded(open_clip: Any, published: Mapping[str, Any]) -> str:
    """Return the file of published weights, fetched; fail at once where nobody answers, not after many retries."""
    # Every tag of open_clip lies on this hub, or on the mirror that a user names.
    hub = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    place = hub.hostname or "", hub.port or (80 if hub.scheme == "http" else 443)
    # Behind a proxy a direct connection says nothing.
    if not urllib.request.getproxies():
        try:
            socket.create_connection(place, timeout=_PATIENCE).close()
        except OSError as error:
            raise ConnectionError(f"no connection to {place[0]} ({error})") from None
    return str(open_clip.download_pretrained(published))


@contextmanager
def _explained(model: str, weights: str) -> Iterator[None]:
    """Turn whatever open_clip, torch or a server has to complain of into one line that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(f"CLIP weights {weights!r} of {model!r} could not be had: {reason}; {_WAYS_OUT}") from error

"""CLIP models from open_clip: published weights by tag, local files, folders, or random ones; frozen when they come."""

from __future__ import annotations

import logging
import math
import os
import socket
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import interpolate

from diffclip.errors import UserError, did_you_mean
from diffclip.language.weights import EMBEDDED, FOLDER_CONFIG, RANDOM, is_file
from diffclip.randomness import seeded_torch

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds for a first answer of the server that holds the weights
_WAYS_OUT = (
    "give a tag with a connection to its server (kept for later runs), or the path of a local .pt or .safetensors "
    "file of these weights as clip_weights, or clip_weights: embedded (a small CLIP that the suite trains itself) or "
    "clip_weights: random (both stand-ins, marked in tables), or, for DiffCLIP, text_tower: file with embeddings that "
    "'diffclip embed-texts' made elsewhere"
)


class Clip(NamedTuple):
    """A CLIP, frozen and in evaluation mode.

    Attributes:
        model: open_clip's model.
        tokenizer: turns n sentences into (n, L) token ids; what is longer than the model's context is cut.
    """

    model: Any
    tokenizer: Any

    @property
    def side(self) -> int:
        """Height and width of the images that it takes, in pixels."""
        found = self.model.visual.image_size
        return int(found[0] if isinstance(found, tuple) else found)

    @property
    def colours(self) -> tuple[Float[Tensor, "3 1 1"], Float[Tensor, "3 1 1"]]:
        """Mean and deviation of red, green and blue, by which images in 0..1 are standardised."""
        visual = self.model.visual
        mean, std = (torch.tensor(found).view(3, 1, 1) for found in (visual.image_mean, visual.image_std))
        return mean, std

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))

    @property
    def scale(self) -> float:
        """The factor on cosines that the model has learned (100 for OpenAI's weights)."""
        return float(self.model.logit_scale.detach().exp())

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n L"]:
        """Return the token ids of n sentences."""
        return self.tokenizer(list(texts)).long()

    def images(self, windows: Float[Tensor, "n tokens 3"]) -> Float[Tensor, "n 3 side side"]:
        """Return square windows of a picture (colours in 0..1, row by row) as the model takes them.

        They are resized by bicubic interpolation, whatever their side, and standardised.
        """
        side = math.isqrt(windows.shape[1])
        squares = windows.transpose(1, 2).unflatten(2, (side, side))
        resized = interpolate(squares, (self.side, self.side), mode="bicubic").clamp(0, 1)
        mean, std = (found.to(resized) for found in self.colours)
        return (resized - mean) / std

    def text_embeddings(self, texts: Sequence[str]) -> Float[Tensor, "n D"]:
        """Return the embeddings of n sentences, not normalised, float32, where the model is."""
        with torch.no_grad():
            return self.model.encode_text(self.tokens(texts).to(self.device)).float()


def load_clip(model: str, weights: str, seed: int) -> Clip:
    """Return a CLIP of open_clip, frozen, on the CPU.

    Args:
        model: open_clip's name of an architecture, e.g. "ViT-B-32"; a folder's weights bring their own.
        weights: open_clip's tag, the path of a local file with a state dict, of a folder in open_clip's format
            (open_clip_config.json beside the weights), or "random".
        seed: of random weights; decides nothing else, and no global generator is touched.

    Raises:
        UserError: no such model, tag or file; no connection; or a file that does not fit the model.
    """
    # Weights that are about to be overwritten are drawn as well, whence the seed for all kinds.
    with seeded_torch(seed, "CLIP weights"), _explained(model, weights):
        loaded = _load(model, weights).eval().requires_grad_(False)
        tokenizer = _open_clip().get_tokenizer(_local_folder(weights) or model)
        return Clip(loaded, tokenizer)


def clip_embeddings(texts: Sequence[str], model: str, weights: str, seed: int) -> Float[Tensor, "n D"]:
    """Return the embeddings of texts by a frozen CLIP, not normalised, float32 on the CPU; see `load_clip`."""
    return load_clip(model, weights, seed).text_embeddings(texts)


def _open_clip() -> Any:
    # Takes seconds to import, so only those who ask for CLIP pay.
    import open_clip

    return open_clip


def _local_folder(weights: str) -> str | None:
    """Return open_clip's name of a folder that holds a model whole, or None where weights are no folder."""
    return f"local-dir:{weights}" if is_file(weights) and Path(weights).is_dir() else None


def _load(model: str, weights: str) -> Any:
    """Return a model of open_clip with its weights."""
    open_clip = _open_clip()
    folder = _local_folder(weights)
    if folder is not None:
        if not (Path(weights) / FOLDER_CONFIG).is_file():
            raise UserError(f"clip_weights: {weights}: found no {FOLDER_CONFIG}, expected a folder of open_clip")
        log.info("CLIP from the folder %s", weights)
        return open_clip.create_model(folder, require_pretrained=True)
    known = open_clip.list_models()
    if model not in known:
        raise UserError(f"clip_model: found {model!r}{did_you_mean(model, known)}; expected a model of open_clip")
    path = _path(open_clip, model, weights)
    # open_clip only warns when weights trained with QuickGELU meet a model without; a local file says nothing of it,
    # so there the model's name decides ("ViT-B-32-quickgelu").
    published: Mapping[str, Any] = open_clip.get_pretrained_cfg(model, weights)
    quick = bool(published.get("quick_gelu") or open_clip.get_model_config(model).get("quick_gelu"))
    log.info("CLIP %s, weights %s, activation %s", model, weights, "QuickGELU" if quick else "GELU")
    return open_clip.create_model(model, pretrained=path, force_quick_gelu=quick, pretrained_text=False)


def _path(open_clip: Any, model: str, weights: str) -> str | None:
    """Return the file of weights, fetched if need be; None for random ones."""
    if weights == RANDOM:
        return None
    if is_file(weights):
        if not Path(weights).is_file():
            raise UserError(f"clip_weights: {weights}: no such file; {_WAYS_OUT}")
        return weights
    published: Mapping[str, Any] = open_clip.get_pretrained_cfg(model, weights)
    if published:
        return _kept(open_clip, published) or _downloaded(open_clip, published)
    tags = open_clip.list_pretrained_tags_by_model(model)
    raise UserError(
        f"clip_weights: found {weights!r}{did_you_mean(weights, [*tags, EMBEDDED, RANDOM])}; expected a tag of {model} "
        f"({', '.join(tags) or 'none known'}), a file, embedded or random; {_WAYS_OUT}"
    )


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

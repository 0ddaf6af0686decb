"""Commands that start something of your own: `new-baseline`, `new-scene`."""

from __future__ import annotations

import keyword
import os
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app
from diffclip.errors import UserError

_BASELINE = '''"""{title}: say in a line what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffclip.protocol.method import Method, Scores
from diffclip.protocol.task import FewShotTask
from diffclip.scene.scene import PixelIndex


class {class_name}(Method):
    """The nearest class mean, until you write your method in its place."""

    title = "{title}"
    reference = "the paper, with its DOI"

    @dataclass(frozen=True)
    class Options:
        """Attributes: use_aux: also look at the auxiliary channels."""

        use_aux: bool = True

    def fit(self, task: FewShotTask) -> None:
        """Learn from the labelled pixels."""
        spectra = task.scene.spectra(task.train_pixels, aux=self.options.use_aux)  # (n, D)
        self.means = np.stack([spectra[task.train_labels == k].mean(axis=0) for k in task.classes])  # (K, D)

    def predict(self, pixels: PixelIndex) -> Scores:
        """Return a score per pixel and class, the higher the likelier."""
        spectra = self.task.scene.spectra(pixels, aux=self.options.use_aux)
        return -np.stack([np.linalg.norm(spectra - mean, axis=1) for mean in self.means], axis=1)
'''


@app.command()
def new_baseline(
    name: Annotated[str, typer.Argument(help="lower-case letters, digits and _; studies ask for it by this name")],
) -> None:
    """Write a baseline that runs at once into baselines/, to be made yours (docs/add-a-baseline.md)."""
    import yaml

    import baselines
    from diffclip.protocol.catalogue import method_names

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"name: found {name!r}, expected lower-case letters, digits and _, a letter first")
    words = name.split("_")
    class_name = "".join(word.title() for word in words)
    if keyword.iskeyword(class_name) or yaml.safe_load(name) != name:
        raise UserError(f"name: found {name!r}, which is a value in Python or YAML; expected another name")
    text = _BASELINE.format(title=" ".join(words).capitalize(), class_name=class_name)
    path = Path(baselines.__path__[0]) / f"{name}.py"
    if name in method_names():
        raise UserError(f"name: found {name!r}, which is there already; expected a new one")
    _write_new(path, text)
    typer.echo(f"{path}\nnext: diffclip run --scene simulated --method {name}")


@app.command()
def new_scene(
    name: Annotated[str, typer.Argument(help="letters, digits and -; studies ask for it by this name")],
    folder: Annotated[Path, typer.Option(help="where the files lie: .mat, .npy, .npz, .tif")],
    cards: Annotated[Path, typer.Option(help="where cards lie")] = Path("config/scenes"),
) -> None:
    """Write a card for the files in a folder into config/scenes/, to be checked by you (docs/add-a-scene.md)."""
    from diffclip.scene.card import CARD_FOLDER
    from diffclip.scene.draft import draft_card

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name):
        raise UserError(f"name: found {name!r}, expected letters, digits and -")
    # A card's folder is relative to the card.
    in_card = str(folder) if folder.is_absolute() else os.path.relpath(folder, cards)
    path = cards / f"{name}.yaml"
    _write_new(path, draft_card(name.replace("-", " ").capitalize(), folder, in_card))
    beside_others = cards.resolve() == CARD_FOLDER.resolve()
    typer.echo(f"{path}\nnext: diffclip scene {name if beside_others else shlex.quote(str(path))}")


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: is there already; expected a new name") from None

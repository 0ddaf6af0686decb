"""The command line as a whole: what all commands share, and how errors are told."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from diffclip.errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False) -> None:
    """Train and test few-shot classifiers of hyperspectral + LiDAR scenes, and keep honest records."""


def main() -> None:
    """Run the command line; an error is one clear line and exit status 2, unless `--debug` asks for more."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    # Threads that wait by spinning slow each other down wherever cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("matplotlib", "PIL", "rasterio", "h5py"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app()
    except UserError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {type(error).__name__}: {error} (--debug shows where)", err=True)
        sys.exit(2)

"""Commands about studies: `study`, `schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app


@app.command()
def study(
    configfile: Annotated[Path, typer.Argument(help="a study config, e.g. config/quick.yaml")] = Path(
        "config/quick.yaml"
    ),
) -> None:
    """Check a study config and say what it would run."""
    from diffclip.study.config import load_study

    found = load_study(configfile)
    cells = found.cells()
    typer.echo(f"{found.study}: {len(cells)} cells x {len(found.seeds)} seeds = {len(cells) * len(found.seeds)} runs")
    for method, variant in dict.fromkeys((cell.method, cell.variant) for cell in cells):
        count = sum((cell.method, cell.variant) == (method, variant) for cell in cells)
        typer.echo(f"  {method} ({variant}): {count} cells")


@app.command()
def schemas(
    folder: Annotated[Path, typer.Argument(help="where the schemas lie")] = Path("workflow/schemas"),
    readme: Annotated[Path, typer.Option(help="the description of study configs")] = Path("config/README.md"),
) -> None:
    """Write what is generated from the types: JSON schemas, and the tables of a study's keys."""
    from diffclip.schemas import write_schemas, write_tables

    for path in [*write_schemas(folder), write_tables(readme)]:
        typer.echo(str(path))

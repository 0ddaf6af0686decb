"""Commands about studies: `study`, `schemas`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffclip.cli.app import app

if TYPE_CHECKING:
    from diffclip.study.estimate import Row


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
def estimate(
    configfile: Annotated[Path, typer.Option(help="a study config, e.g. config/paper.yaml")] = Path(
        "config/quick.yaml"
    ),
    measured: Annotated[
        list[Path] | None,
        typer.Option(help="runs.csv (or .csv.gz) of a finished study, may be repeated; default: all below results/"),
    ] = None,
) -> None:
    """Say what a study will cost before it runs: hours per device and disk, from measured runs."""
    from tabulate import tabulate

    from diffclip.study.config import load_study
    from diffclip.study.estimate import estimated, read_measured

    study = load_study(configfile)
    tables = measured or sorted(Path("results").glob("**/runs.csv*"))
    runs = read_measured(tables)
    found = estimated(study, runs)
    rows = [
        [
            row.method,
            row.variant,
            row.runs,
            *(
                f"{row.hours[device]:.2f} ({row.measured[device]})" if device in row.hours else "-"
                for device in found.devices
            ),
        ]
        for row in found.rows
    ]
    total = [
        "all that were measured",
        "",
        f"{_runs(found.told())} of {_runs(found.rows)}",
        *(
            f"{sum(row.hours[device] for row in found.told(device)):.2f} for {_runs(found.told(device))} runs"
            for device in found.devices
        ),
    ]
    heads = ["method", "variant", "runs", *(f"hours on {device} (runs measured)" for device in found.devices)]
    typer.echo(tabulate([*rows, total], heads, disable_numparse=True))
    typer.echo(f"{found.checkpoints * len(study.seeds)} checkpoints, each made once; {found.jobs} jobs")
    if found.disk is None:
        typer.echo("disk: not known, as no run was measured")
    else:
        left_out = "prepared scenes and checkpoints of what was never measured not counted"
        typer.echo(f"disk: {found.disk / 1e9:.2f} GB of records, predictions and checkpoints; {left_out}")
    unmeasured = [row for row in found.rows if row not in found.told()]
    if unmeasured:
        typer.echo(f"never measured with these options, and not in the hours: {_names(unmeasured)}")
    for device in found.devices:
        elsewhere = [row for row in found.told() if device not in row.hours]
        if elsewhere:
            typer.echo(f"not measured on {device}, and not in its hours: {_names(elsewhere)}")
    if found.guessed and found.disk is not None:
        typer.echo(f"test pixels not known, the measured runs' mean is taken: {', '.join(found.guessed)}")
    typer.echo(f"measured in: {', '.join(map(str, tables)) or 'nothing'}; one process at a time, start-up not counted")


def _runs(rows: Iterable[Row]) -> int:
    return sum(row.runs for row in rows)


def _names(rows: Iterable[Row]) -> str:
    return ", ".join(f"{row.method} ({row.variant})" for row in rows)


@app.command()
def schemas(
    folder: Annotated[Path, typer.Argument(help="where the schemas lie")] = Path("workflow/schemas"),
    readme: Annotated[Path, typer.Option(help="the description of study configs")] = Path("config/README.md"),
) -> None:
    """Write what is generated from the types: JSON schemas, and the tables of a study's keys."""
    from diffclip.schemas import write_schemas, write_tables

    for path in [*write_schemas(folder), write_tables(readme)]:
        typer.echo(str(path))

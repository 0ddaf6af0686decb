"""Commands about scenes: `scene`, `split`, `task`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app
from diffclip.cli.options import (
    Margin,
    OnSmallClass,
    Out,
    Protocol,
    SceneName,
    Seeds,
    Shots,
    margin_of,
    seeds_of,
    touch,
)
from diffclip.study import layout

WindowOfMargin = Annotated[int, typer.Option(help="side of the window in pixels, which the margin is by default")]


@app.command()
def scene(
    name: Annotated[str, typer.Argument(help="a card in config/scenes/, or the path of one")],
    out: Out = Path("results/run"),
) -> None:
    """Check a scene's card, prepare the scene, print a summary and write a quick-look picture."""
    from diffclip.scene.store import summary
    from diffclip.steps import prepare_scene

    prepared = prepare_scene(name, out)
    files = [out / template.format(scene=prepared.name) for template in (layout.SCENE, layout.QUICKLOOK)]
    touch(files)
    found = summary(prepared, "")
    kind = "simulated" if prepared.info.simulated else "measured"
    typer.echo(f"{prepared.info.title} ({prepared.name}, {kind})")
    typer.echo(f"{found['height']} x {found['width']} pixels, {found['bands']} bands, {found['aux_channels']} rasters")
    rows = zip(prepared.class_names, found["pixels_per_class"], strict=True)
    for k, (class_name, count) in enumerate(rows, start=1):
        masks = [found[f"{key}_per_class"] for key in ("train_mask", "test_mask")]
        official = "".join(
            f"  {word} {mask[k - 1]}" for word, mask in zip(("train", "test"), masks, strict=True) if mask
        )
        typer.echo(f"{k:3d}  {class_name:<28} {count:8d}{official}")
    typer.echo(f"unlabelled {found['unlabelled']}; SHA-256 {found['sha256']}")
    typer.echo(f"quick look: {files[1]}")


@app.command()
def split(
    scene: SceneName,
    protocol: Protocol,
    shots: Shots,
    seeds: Seeds = "0",
    window: WindowOfMargin = 11,
    margin: Margin = None,
    on_small_class: OnSmallClass = "error",
    out: Out = Path("results/run"),
) -> None:
    """Draw training and test pixels and write them (.npz: train, test, skipped, margin)."""
    from diffclip.steps import make_split, prepare_scene

    wanted, margin = seeds_of(seeds), margin_of(protocol, margin, window)
    prepared = prepare_scene(scene, out)
    for seed in wanted:
        drawn = make_split(prepared, protocol, shots, seed, out, margin=margin, on_small_class=on_small_class)
        path = out / layout.SPLIT.format(scene=prepared.name, protocol=protocol, shots=shots, seed=seed)
        touch([path])
        typer.echo(f"seed {seed}: {len(drawn.train)} training, {len(drawn.test)} test pixels  {path}")


@app.command()
def task(
    scene: SceneName,
    protocol: Protocol = "paper",
    shots: Annotated[int | None, typer.Option(min=1, help="as for split; left out: write the imagery alone")] = None,
    seeds: Seeds = "0",
    window: WindowOfMargin = 11,
    margin: Margin = None,
    on_small_class: OnSmallClass = "error",
    out: Out = Path("results/run"),
) -> None:
    """Write what a program outside of the suite is given (.npz, see docs/add-a-baseline.md): no test label is in it."""
    from diffclip.steps import export_tasks, prepare_scene

    wanted = seeds_of(seeds) if shots is not None else []
    margin = margin_of(protocol, margin, window)
    prepared = prepare_scene(scene, out)
    paths = export_tasks(prepared, protocol, shots or 1, wanted, out, margin=margin, on_small_class=on_small_class)
    imagery = out / layout.TASK_IMAGERY.format(scene=prepared.name)
    # Tasks are made from the imagery: it must not look newer than they are.
    touch(paths or [imagery])
    for path in [imagery, *paths]:
        typer.echo(f"{path.stat().st_size / 1e6:.1f} MB  {path}")

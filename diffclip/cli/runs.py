"""Commands that make runs, and what runs need or show: `run`, `pretrain`, `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app
from diffclip.cli.options import (
    Device,
    Margin,
    MaskRatio,
    MethodName,
    OnSmallClass,
    Options,
    Out,
    Protocol,
    SceneName,
    Seeds,
    SeedsAtOnce,
    Shots,
    Variant,
    Window,
    margin_of,
    method_of,
    options_of,
    seeds_of,
    touch,
)
from diffclip.errors import UserError
from diffclip.study.cells import Cell


@app.command()
def run(
    scene: SceneName,
    method: MethodName,
    protocol: Protocol = "paper",
    shots: Shots = 10,
    seeds: Seeds = "0",
    variant: Variant = "default",
    options: Options = "{}",
    window: Window = 11,
    mask_ratio: MaskRatio = 0.7,
    margin: Margin = None,
    on_small_class: OnSmallClass = "error",
    device: Device = "auto",
    seeds_at_once: SeedsAtOnce = None,
    out: Out = Path("results/run"),
) -> None:
    """Make one cell: a record and the predictions of every seed. Finished runs that are up to date are kept."""
    from diffclip.device import choose_device
    from diffclip.scene.card import load_card
    from diffclip.steps import run_cell

    made, cell_window, cell_ratio = method_of(method, variant, options, window, mask_ratio)
    margin = margin_of(protocol, margin, window, made, cell_window)
    cell = Cell(load_card(scene).name, protocol, method, variant, shots, cell_window, cell_ratio)
    records = run_cell(
        cell,
        seeds_of(seeds),
        out,
        options=options_of(options),
        margin=margin,
        on_small_class=on_small_class,
        # Looking for a GPU imports torch, which most rivals do without.
        device=choose_device(device) if made.uses_device else "cpu",
        card=scene,
        seeds_at_once=seeds_at_once,
    )
    paths = [out / cell.record(record.identity.seed) for record in records]
    touch([*paths, *(path.with_suffix(".npz") for path, record in zip(paths, records, strict=True) if record.metrics)])
    for path, record in zip(paths, records, strict=True):
        scores = record.metrics
        said = f"failed: {record.reason}" if scores is None else f"OA {scores.oa:.2f}  AA {scores.aa:.2f}"
        kappa = "" if scores is None else f"  kappa {scores.kappa:.2f}"
        typer.echo(f"seed {record.identity.seed}: {said}{kappa}  {path}")


@app.command()
def pretrain(
    scene: SceneName,
    method: MethodName,
    seeds: Seeds = "0",
    variant: Variant = "default",
    options: Options = "{}",
    window: Window = 11,
    mask_ratio: MaskRatio = 0.7,
    device: Device = "auto",
    seeds_at_once: SeedsAtOnce = None,
    out: Out = Path("results/run"),
) -> None:
    """Make the checkpoints that a method needs before it sees labels; cells with the same settings share them."""
    from diffclip.device import choose_device
    from diffclip.protocol.checkpoints import log_of
    from diffclip.steps import make_pretraining, prepare_scene

    made, cell_window, cell_ratio = method_of(method, variant, options, window, mask_ratio)
    pretraining = made.pretraining(cell_window, cell_ratio)
    if pretraining is None:
        raise UserError(f"method {method}, variant {variant}: needs no pretraining")
    wanted, chosen = seeds_of(seeds), choose_device(device)
    prepared = prepare_scene(pretraining.scene or scene, out)
    made_now = make_pretraining(pretraining, prepared, wanted, out, device=chosen, seeds_at_once=seeds_at_once)
    for seed, checkpoint in zip(wanted, made_now, strict=True):
        touch([checkpoint.path, log_of(checkpoint.path)])
        typer.echo(f"seed {seed}: {checkpoint.seconds:.1f} s  {checkpoint.path}")


@app.command()
def inspect(
    scene: SceneName,
    method: MethodName = "diffclip",
    protocol: Protocol = "paper",
    shots: Shots = 10,
    seed: Annotated[int, typer.Option(min=0, help="which run")] = 0,
    variant: Variant = "default",
    options: Options = "{}",
    window: Window = 11,
    mask_ratio: MaskRatio = 0.7,
    margin: Margin = None,
    on_small_class: OnSmallClass = "error",
    device: Device = "auto",
    seeds_at_once: SeedsAtOnce = None,
    out: Out = Path("results/run"),
) -> None:
    """Show what one run learned: write reconstructions of stage 1 and features before and after each stage (.npz)."""
    from diffclip.device import choose_device
    from diffclip.scene.card import load_card
    from diffclip.steps import inspect_run

    made, cell_window, cell_ratio = method_of(method, variant, options, window, mask_ratio)
    margin = margin_of(protocol, margin, window, made, cell_window)
    cell = Cell(load_card(scene).name, protocol, method, variant, shots, cell_window, cell_ratio)
    path = inspect_run(
        cell,
        seed,
        out,
        options=options_of(options),
        margin=margin,
        on_small_class=on_small_class,
        device=choose_device(device),
        card=scene,
        seeds_at_once=seeds_at_once,
    )
    typer.echo(f"seed {seed}: {path.stat().st_size / 1e6:.1f} MB  {path}")

"""The command line: `diffclip run | scene | split | pretrain | inspect | methods | embed-texts | study | schemas`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
import yaml

from diffclip.errors import UserError
from diffclip.study import layout
from diffclip.study.cells import Cell, ProtocolName

if TYPE_CHECKING:
    from diffclip.protocol.method import Method

log = logging.getLogger(__name__)
app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="the study's folder: scenes, splits, checkpoints and records lie below it")]
Protocol = Annotated[ProtocolName, typer.Option(help="how training and test pixels are drawn")]
Shots = Annotated[int, typer.Option(min=1, help="labelled training pixels per class")]
Seeds = Annotated[str, typer.Option(help="seeds, as a list or range: 0,1,2 or 0-9")]
Options = Annotated[str, typer.Option(help="options of the method as YAML or JSON, e.g. '{features: means}'")]
Variant = Annotated[str, typer.Option(help="a named set of options")]
MethodName = Annotated[str, typer.Option(help="a file in baselines/, or diffclip")]
SceneName = Annotated[str, typer.Option(help="a card in config/scenes/, or the path of one")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="where networks are trained")]
Window = Annotated[int, typer.Option(help="side of the window in pixels, for methods that have one")]
MaskRatio = Annotated[float, typer.Option(help="share of hidden tokens in stage 1")]
Margin = Annotated[
    int | None, typer.Option(help="strict: least distance of training and test pixels; default: the window")
]
OnSmallClass = Annotated[Literal["error", "skip"], typer.Option(help="for classes with too few pixels for the shots")]


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False) -> None:
    """Train and test few-shot classifiers of hyperspectral + LiDAR scenes, and keep honest records."""


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
    out: Out = Path("results/run"),
) -> None:
    """Make one cell: a record and the predictions of every seed. Finished runs that are up to date are kept."""
    from diffclip.device import choose_device
    from diffclip.scene.card import load_card
    from diffclip.steps import run_cell

    made, cell_window, cell_ratio = _method(method, variant, options, window, mask_ratio)
    margin = _margin(made, protocol, margin, window, cell_window)
    cell = Cell(load_card(scene).name, protocol, method, variant, shots, cell_window, cell_ratio)
    records = run_cell(
        cell,
        _seeds(seeds),
        out,
        options=_yaml(options),
        margin=margin,
        on_small_class=on_small_class,
        # Looking for a GPU imports torch, which most rivals do without.
        device=choose_device(device) if made.uses_device else "cpu",
        card=scene,
    )
    paths = [out / cell.record(record.identity.seed) for record in records]
    _touch([*paths, *(path.with_suffix(".npz") for path, record in zip(paths, records, strict=True) if record.metrics)])
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
    out: Out = Path("results/run"),
) -> None:
    """Make the checkpoints that a method needs before it sees labels; cells with the same settings share them."""
    from diffclip.device import choose_device
    from diffclip.protocol.checkpoints import log_of
    from diffclip.steps import make_pretraining, prepare_scene

    made, cell_window, cell_ratio = _method(method, variant, options, window, mask_ratio)
    pretraining = made.pretraining(cell_window, cell_ratio)
    if pretraining is None:
        raise UserError(f"method {method}, variant {variant}: needs no pretraining")
    wanted, chosen = _seeds(seeds), choose_device(device)
    prepared = prepare_scene(pretraining.scene or scene, out)
    for seed in wanted:
        checkpoint = make_pretraining(pretraining, prepared, seed, out, device=chosen)
        _touch([checkpoint.path, log_of(checkpoint.path)])
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
    out: Out = Path("results/run"),
) -> None:
    """Show what one run learned: write reconstructions of stage 1 and features before and after each stage (.npz)."""
    from diffclip.device import choose_device
    from diffclip.scene.card import load_card
    from diffclip.steps import inspect_run

    made, cell_window, cell_ratio = _method(method, variant, options, window, mask_ratio)
    margin = _margin(made, protocol, margin, window, cell_window)
    cell = Cell(load_card(scene).name, protocol, method, variant, shots, cell_window, cell_ratio)
    path = inspect_run(
        cell,
        seed,
        out,
        options=_yaml(options),
        margin=margin,
        on_small_class=on_small_class,
        device=choose_device(device),
        card=scene,
    )
    typer.echo(f"seed {seed}: {path.stat().st_size / 1e6:.1f} MB  {path}")


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
    _touch(files)
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
    margin: Annotated[int, typer.Option(min=1, help="strict: least distance of training and test pixels")] = 1,
    on_small_class: OnSmallClass = "error",
    out: Out = Path("results/run"),
) -> None:
    """Draw training and test pixels and write them (.npz: train, test, skipped, margin)."""
    from diffclip.steps import make_split, prepare_scene

    wanted = _seeds(seeds)
    prepared = prepare_scene(scene, out)
    for seed in wanted:
        drawn = make_split(prepared, protocol, shots, seed, out, margin=margin, on_small_class=on_small_class)
        path = out / layout.SPLIT.format(scene=prepared.name, protocol=protocol, shots=shots, seed=seed)
        _touch([path])
        typer.echo(f"seed {seed}: {len(drawn.train)} training, {len(drawn.test)} test pixels  {path}")


@app.command()
def methods() -> None:
    """List all methods with their variants and options."""
    from diffclip.protocol.catalogue import find_method, method_names
    from diffclip.schemas import readable_type

    for name in method_names():
        found = find_method(name)
        typer.echo(f"{name}: {found.title}" + (f" [{found.reference}]" if found.reference else ""))
        if found.variants:
            typer.echo(f"  variants: {', '.join(['default', *found.variants])}")
        types = get_type_hints(found.Options)
        for option in fields(found.Options):
            default = option.default_factory() if option.default_factory is not MISSING else option.default
            typer.echo(f"  {option.name}: {readable_type(types[option.name])} = {default!r}")


@app.command()
def embed_texts(
    scene: SceneName,
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    clip_model: Annotated[str, typer.Option(help="open_clip's name of the model")] = "ViT-B-32",
    clip_weights: Annotated[str, typer.Option(help="open_clip's tag, the path of a file, or random")] = "openai",
    prompts: Annotated[str, typer.Option(help="prompt sets, as a list: p1,p2,p3,descriptions")] = "p1",
    seed: Annotated[int, typer.Option(min=0, help="of random weights")] = 0,
) -> None:
    """Write a scene's class embeddings by a CLIP, for text_tower: file on machines without its weights."""
    from diffclip.language.clip import clip_embeddings
    from diffclip.language.embeddings import write_embeddings
    from diffclip.language.prompts import all_prompts
    from diffclip.language.tokenizer import warn_of_cuts
    from diffclip.language.tower import mean_embedding
    from diffclip.language.weights import weights_name
    from diffclip.scene.load import names_and_descriptions

    sets = [chosen.strip() for chosen in prompts.split(",")]
    names, descriptions = names_and_descriptions(scene)
    texts = all_prompts(sets, names, descriptions)  # type: ignore[arg-type]
    warn_of_cuts(names, texts)
    found = mean_embedding(clip_embeddings(texts, clip_model, clip_weights, seed), len(sets)).numpy()
    weights = weights_name(clip_model, clip_weights)
    write_embeddings(out, names, found, weights, sets)
    typer.echo(f"{len(names)} classes x {found.shape[1]} numbers, CLIP weights {weights}: {out}")


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


def _method(
    name: str, variant: str, options: str, window: int, mask_ratio: float
) -> tuple[Method, int | None, float | None]:
    """Return a method with its options, and the window and mask ratio where it has these axes."""
    from diffclip.protocol.catalogue import make_method

    if window < 1 or window % 2 == 0:
        raise UserError(f"--window: found {window}, expected an odd number")
    if not 0 <= mask_ratio < 1:
        raise UserError(f"--mask-ratio: found {mask_ratio}, expected 0 <= ratio < 1")
    made = make_method(name, variant, _yaml(options))
    axes = made.axes
    cell_window = window if "window" in axes else None
    try:
        made.check(cell_window)
    except UserError as error:
        raise UserError(f"method {name}, variant {variant}: {error}") from None
    return made, cell_window, mask_ratio if "mask_ratio" in axes else None


def _margin(made: Method, protocol: str, margin: int | None, window: int, cell_window: int | None) -> int:
    """Return the margin asked for, or by default the window, and no less than keeps windows of the method apart."""
    from diffclip.protocol.method import SCENE_WIDE

    reach = made.reach(cell_window)
    least = 1 if reach == SCENE_WIDE else 2 * int(reach) + 1
    if margin is not None and protocol == "strict" and margin < least:
        raise UserError(f"--margin: found {margin}, expected at least {least}: {made.title} looks {reach} pixels far")
    return margin or max(window, least)


def _yaml(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--options: not YAML: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"--options: found {text!r}, expected names and values such as '{{features: means}}'")
    return found


def _seeds(text: str) -> list[int]:
    """Read "0,1,2" or "0-9" or both."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
            raise UserError(f"--seeds: found {text!r}, expected a list or range such as 0,1,2 or 0-9")
        seeds += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(seeds))


def _touch(paths: Iterable[Path]) -> None:
    """Make kept files look fresh to the workflow, which compares times before contents."""
    for path in paths:
        os.utime(path)


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

"""Commands about CLIP: `embed-texts`, `embedded-clip`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app
from diffclip.cli.options import Device, Out, SceneName, touch


@app.command()
def embed_texts(
    scene: SceneName,
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    clip_model: Annotated[str, typer.Option(help="open_clip's name of the model")] = "ViT-B-32",
    clip_weights: Annotated[
        str, typer.Option(help="open_clip's tag, the path of a file or folder, or random")
    ] = "openai",
    prompts: Annotated[str, typer.Option(help="prompt sets, as a list: p1,descriptions,eurosat")] = "p1",
    seed: Annotated[int, typer.Option(min=0, help="of random weights")] = 0,
) -> None:
    """Write a scene's class embeddings by a CLIP, for text_tower: file on machines without its weights."""
    from diffclip.language.clip import clip_embeddings
    from diffclip.language.embeddings import write_embeddings
    from diffclip.language.prompts import all_prompts
    from diffclip.language.tokenizer import warn_of_cuts
    from diffclip.language.tower import mean_embedding
    from diffclip.language.weights import located, weights_name
    from diffclip.scene.load import names_and_descriptions

    sets = [chosen.strip() for chosen in prompts.split(",")]
    names, descriptions = names_and_descriptions(scene)
    texts = all_prompts(sets, names, descriptions)  # type: ignore[arg-type]
    warn_of_cuts(names, texts)
    embeddings = clip_embeddings(texts, clip_model, located(clip_weights, None), seed)
    found = mean_embedding(embeddings, len(texts) // len(names)).numpy()
    weights = weights_name(clip_model, clip_weights)
    write_embeddings(out, names, found, weights, sets)
    typer.echo(f"{len(names)} classes x {found.shape[1]} numbers, CLIP weights {weights}: {out}")


@app.command()
def embedded_clip(device: Device = "auto", out: Out = Path("results/run")) -> None:
    """Train the embedded CLIP, for studies with clip_weights: embedded, and say what it knows of a fresh scene.

    It is kept while its sources stay the same.
    """
    from diffclip.device import choose_device
    from diffclip.embedded.store import log_in, make_embedded_clip, measured_in
    from diffclip.language.weights import FOLDER_CONFIG
    from diffclip.study.layout import EMBEDDED_CLIP

    folder = out / EMBEDDED_CLIP
    made = make_embedded_clip(folder, device=choose_device(device))
    touch([made.path, folder / FOLDER_CONFIG, log_in(folder)])
    found = measured_in(folder)["zero_shot"]
    typer.echo(f"embedded CLIP: {made.seconds:.0f} s to train, {made.path.stat().st_size / 1e6:.1f} MB in {folder}")
    accuracy, chance = found["accuracy"], found["chance"]
    typer.echo(f"zero-shot accuracy on a fresh simulated scene: {accuracy:.1f} %, chance {chance:.1f} %")
    for name, of_class in found["per_class"].items():
        typer.echo(f"  {name:<14} {of_class:5.1f}")

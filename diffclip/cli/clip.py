"""Commands about CLIP: `embed-texts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffclip.cli.app import app
from diffclip.cli.options import SceneName


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

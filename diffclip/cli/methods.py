"""Commands about methods: `methods`."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import get_type_hints

import typer

from diffclip.cli.app import app


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

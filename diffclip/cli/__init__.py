"""The command line: one module per group of commands, and `main`, which runs them.

A command is a function with `@app.command()` in the module of its group. It imports what it needs when it runs, so that
`diffclip --help` and every short command stay quick.
"""

# Importing a group adds its commands, which `--help` lists in this order.
from diffclip.cli import runs, scenes, methods, new, clip, studies  # noqa: F401, I001
from diffclip.cli.app import main

__all__ = ["main"]

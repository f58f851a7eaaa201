"""`fice inspect`: what a checkpoint is."""

import click

from .console import say


@click.command("inspect")
@click.argument("file")
def command(file: str) -> None:
    """Say what a checkpoint FILE holds.

    Works for .pt, .pth, .pkl and .safetensors. Nothing in the file is executed.
    """
    from ..checkpoints import describe

    description = describe(file)
    say(description.summary)
    width = max(map(len, description.details), default=0)
    for name, value in description.details.items():
        say(f"  {name:<{width}}  {value}")

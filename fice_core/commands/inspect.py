"""`fice inspect`: describe a checkpoint."""

import click

from .console import say
from .names import FILE_NAME


@click.command("inspect")
@click.argument("file", type=FILE_NAME)
def command(file: str) -> None:
    """Describe the network in a checkpoint FILE.

    Works for .pt, .pth, .pkl and .safetensors. Nothing in the file is executed.
    """
    from ..checkpoints import describe

    description = describe(file)
    say(description.summary)
    width = max(map(len, description.details), default=0)
    for name, value in description.details.items():
        say(f"  {name:<{width}}  {value}")

"""`fice inspect`: describe a checkpoint."""

import click

from .console import say
from .names import FILE_NAME
from .options import clip_architecture_option


@click.command("inspect")
@click.argument("file", type=FILE_NAME)
@clip_architecture_option
def command(file: str, clip_architecture: str | None) -> None:
    """Describe the network in a checkpoint FILE.

    Works for .pt, .pth, .bin, .pkl and .safetensors, and for the folder of a hub download. Nothing in
    the file is executed.
    """
    from ..checkpoints import describe

    description = describe(file, clip_architecture)
    say(description.summary)
    width = max(map(len, description.details), default=0)
    for name, value in description.details.items():
        say(f"  {name:<{width}}  {value}")
